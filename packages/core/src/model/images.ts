/**
 * What images do in the adapted layers of a pass. Adding one vector I to all prompts of a layer leaves every softmax over them
 * as it was: each score of a query moves by the same q·W_k·I. So the vector comes through as its value alone, whatever the
 * query (spec of images §3):
 *
 *   gate · Σ_j S[j]·W_v·(p[j] + I)  =  gate · Σ_j S[j]·W_v·p[j]  +  gate · W_v·I
 *
 * The second term is attention to one prompt without a key, which is how engines compute it, for the tokens of each sequence.
 */
import type { DeviceArray } from "../engine/engine.ts";
import { kvRows, type OwnedGradient, promptKvBackward } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import type { ImagePrompts } from "./prompts.ts";

/** Returns what vectors `[N, D]`, added to all prompts of these layers, do there. */
export function imageValues(model: DecoderModel, layers: readonly number[], added_ND: Float32Array): ImagePrompts {
  const { engine, config } = model;
  const D = config.hiddenSize;
  const count = added_ND.length / D;
  const uploaded_ND = engine.upload(added_ND);
  const made = layers.map((i): [number, DeviceArray] => {
    const layer = model.layers[i];
    // No bias: the prompts have it. `packed`: an image has the same bits beside any others.
    return [i, engine.linear(uploaded_ND, layer.qkv, { T: count, rows: kvRows(model, layer), order: "packed" })];
  });
  engine.free(uploaded_ND);
  const isZero = (n: number) => added_ND.subarray(n * D, (n + 1) * D).every((value) => value === 0);
  return {
    layers: new Map(made),
    count,
    silent: new Set(Array.from({ length: count }, (_, n) => n).filter(isZero)),
  };
}

/**
 * Returns the gradient of the vectors `[N, D]` in one layer, of those of the tokens that saw them. What reaches an image's key is
 * left out: it is 0 but for rounding, since a softmax over one score does not move.
 */
export async function imageValuesBackward(
  model: DecoderModel,
  layer: number,
  { count }: ImagePrompts,
  gradients: readonly OwnedGradient[],
): Promise<Float32Array> {
  const { engine, config } = model;
  const width = config.kvHeads * config.headDim;
  const sums_NY = new Float64Array(count * 2 * width);
  for (const { dkv_KY, of } of gradients) {
    const dkv_Y = await engine.read(dkv_KY);
    const at = (of?.image ?? 0) * 2 * width;
    for (let i = width; i < 2 * width; i++) sums_NY[at + i] += dkv_Y[i];
  }
  const dkv_NY = engine.upload(Float32Array.from(sums_NY));
  const dadded_ND = promptKvBackward(model, model.layers[layer], dkv_NY, { K: count, beforeNorm: undefined });
  const values = await engine.read(dadded_ND);
  engine.free(dadded_ND);
  return values;
}
