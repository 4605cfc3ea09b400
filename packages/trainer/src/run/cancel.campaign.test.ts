/** Closing a pool ends the cell that is being computed, on every engine and also inside of one long operation. */
import { adapterLayout, initParameters, parseModelConfig, type WeightImage } from "@zerogate/core";
import { type LayerWeight, type WeightPlace, weightNames } from "@zerogate/core/formats";
import { probe } from "@zerogate/engine-cpu";
import { type DeviceSetup, openDevices, referenceEngine } from "@zerogate/workers";
import { expect, test } from "vitest";

const { available, reason } = probe();

const T = 2048;

type Size = { readonly hidden: number; readonly layers: number; readonly vocabulary: number };

/** All weights are the same zeros, so that minutes of work need little memory. */
function endlessSetup(name: "cpu" | "wasm" | "reference", { hidden, layers, vocabulary }: Size): DeviceSetup {
  const config = parseModelConfig(
    {
      model_type: "llama",
      vocab_size: vocabulary,
      hidden_size: hidden,
      intermediate_size: 4 * hidden,
      num_hidden_layers: layers,
      num_attention_heads: hidden / 64,
      tie_word_embeddings: true,
      max_position_embeddings: T,
    },
    "config.json",
  );
  // Built: threads of Node 20 load no TypeScript.
  const built = (file: string) => ({ module: new URL(`../../../engine-cpu/dist/${file}.js`, import.meta.url).href });
  const engine = { cpu: built("index"), wasm: built("wasm"), reference: referenceEngine() }[name];
  const dtype = name === "reference" ? "f32" : "bf16";
  const places: Record<string, WeightPlace> = {};
  let bytes = 0;
  const place = (weight: string, ...shape: number[]) => {
    const byteLength = shape.reduce((product, size) => product * size, dtype === "f32" ? 4 : 2);
    places[weight] = { dtype, shape, offset: 0, byteLength };
    bytes = Math.max(bytes, byteLength);
  };
  place(weightNames.embed, config.vocabSize, hidden);
  place(weightNames.finalNorm, hidden);
  for (let i = 0; i < config.layers; i++) {
    const layer = (weight: LayerWeight, ...shape: number[]) => place(weightNames.layer(i, weight), ...shape);
    layer("attnNorm", hidden);
    layer("qkv", 3 * hidden, hidden);
    layer("o", hidden, hidden);
    layer("mlpNorm", hidden);
    layer("gateUp", 8 * hidden, hidden);
    layer("down", hidden, 4 * hidden);
  }
  const weights: WeightImage = { bytes: new SharedArrayBuffer(bytes), places };
  const shape = { promptLength: 2, adaptedLayers: 1, gateSharing: "scalar", gateActivation: "none" } as const;
  const layout = adapterLayout(shape, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(initParameters(layout.table, 1));
  const train = {
    ids: new Int32Array(new SharedArrayBuffer(4 * T)),
    target: new Uint8Array(new SharedArrayBuffer(T)).fill(1),
    offsets: Float64Array.of(0, T),
    hash: "endless",
  };
  return { engine, config, weights, jobs: [{ id: "endless", layout, params }], tokens: { train } };
}

/** Closes a pool in the middle of its first cell, `afterMs` from its start; what the step then says, and whether it was waited for. */
async function closeInACell(name: "cpu" | "wasm" | "reference", size: Size, afterMs: number) {
  const pool = await openDevices({ workers: 1, setup: endlessSetup(name, size), maxCells: 1 });
  const running = pool.runStep({ job: "endless", step: 1, cells: [[0]], scale: 1, version: 0 }).then(
    () => "finished",
    (error: unknown) => (error as Error).message,
  );
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  const begin = performance.now();
  await pool.close();
  return { said: await running, isSoon: performance.now() - begin < FAR_LESS_MS };
}

/** What is closed here would take longer, the more so on a busy machine. */
const FAR_LESS_MS = 15_000;
const closed = { said: "Cannot finish step 1: the device pool was closed", isSoon: true };
const absent = available ? "" : ` (skipped: ${reason})`;
test.skipIf(!available)(`a native operation of twenty seconds ends when its pool is closed${absent}`, async () => {
  expect(await closeInACell("cpu", { hidden: 2048, layers: 1, vocabulary: 128_000 }, 3000)).toEqual(closed);
});
test.each(["wasm", "reference"] as const)("so does a cell of the %s engine", async (name) => {
  expect(await closeInACell(name, { hidden: 128, layers: 200, vocabulary: 8192 }, 500)).toEqual(closed);
});
