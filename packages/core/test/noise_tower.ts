import { serializeSafetensors, type Tensor } from "../src/formats/safetensors.ts";
import type { TowerConfig } from "../src/vision/tower/config.ts";
import { towerWeights } from "../src/vision/tower/weights.ts";

/** The numbers of make_tower_values.py: between -1 and 1, of a generator that begins with a text. */
export function noiseNumbers(text: string, count: number): Float32Array {
  let state = Array.from(text).reduce((sum, letter, i) => sum + letter.charCodeAt(0) * (i + 1), 0);
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 24) - 128) / 128;
  });
}

/** The weights of make_tower_values.py, by their names behind the prefix. */
export function noiseTensors(config: TowerConfig): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const { parts } of towerWeights(config)) {
    for (const { name, shape } of parts) {
      const count = shape.reduce((a, b) => a * b, 1);
      // transformers keeps a table of two sizes under `position`, and stores class tokens and probes as maps.
      const isMap = (shape.length > 1 && !name.includes("position")) || /cls_token|probe/.test(name);
      const base = name.includes("norm") && name.endsWith(".weight") ? 1 : 0;
      const values = noiseNumbers(name, count).map((x) => x * (isMap ? 0.5 : 0.25) + base);
      tensors.set(name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) });
    }
  }
  return tensors;
}

/** The file of these tensors, each name changed. */
export const fileOf = (tensors: ReadonlyMap<string, Tensor>, rename: (name: string) => string): Uint8Array =>
  serializeSafetensors(new Map([...tensors].map(([name, tensor]) => [rename(name), tensor])), { format: "pt" });
