/** Weights that are nowhere: names and shapes of a base, for devices that compute nothing. */
import type { ModelConfig, WeightImage } from "@zerogate/core";
import { weightSources } from "@zerogate/core/formats";
import { sharedMemory } from "@zerogate/workers";

/** Returns an image whose weights say that they lie in a file; biases, which a model reads, are zeros. */
export function phantomBase(config: ModelConfig): WeightImage {
  const sources = weightSources(config);
  const bytesOf = (shape: readonly number[]) => 4 * shape.reduce((a, b) => a * b, 1);
  const largest = Math.max(4, ...sources.filter(({ name }) => isBias(name)).map(({ shape }) => bytesOf(shape)));
  const places = sources.map(({ name, shape }) => {
    const byteLength = bytesOf(shape);
    const place = { dtype: "f32" as const, shape, offset: 0, byteLength };
    return [name, isBias(name) ? place : { ...place, path: "nowhere" }];
  });
  return { bytes: sharedMemory(largest), places: Object.fromEntries(places) };
}

const isBias = (name: string) => name.endsWith("Bias");
