/**
 * What images do in the adapted layers of a pass: rows of keys and values for each image, for the tokens of its sequences.
 *
 * Fusion `global` adds one vector I to all prompts of a layer, which leaves every softmax over them as it was: each score of a query
 * moves by the same q·W_k·I. So the vector comes through as its value alone, whatever the query (spec of images §3):
 *
 *   gate · Σ_j S[j]·W_v·(p[j] + I)  =  gate · Σ_j S[j]·W_v·p[j]  +  gate · W_v·I
 *
 * The second term is attention to one prompt without a key, which is how engines compute it, beside the prompts. Fusion `query`
 * adds a vector to each prompt, so its images have prompts of their own in place of those of texts.
 */
import type { DeviceArray } from "../engine/engine.ts";
import { kvRows, type OwnedGradient, promptKv, promptKvBackward } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import type { ImagePrompts, PromptKv } from "./prompts.ts";

/** Returns what vectors `[N, D]`, added to all prompts of these layers, do there. */
export function imageValues(model: DecoderModel, layers: readonly number[], added_ND: Float32Array): ImagePrompts {
  const { engine, config } = model;
  const D = config.hiddenSize;
  const count = added_ND.length / D;
  const uploaded_ND = engine.upload(added_ND);
  const made = layers.map((i): [number, PromptKv] => {
    const layer = model.layers[i];
    // No bias: the prompts have it. `packed`: an image has the same bits beside any others.
    const kv_KY = engine.linear(uploaded_ND, layer.qkv, { T: count, rows: kvRows(model, layer), order: "packed" });
    return [i, { kv_KY, beforeNorm: undefined }];
  });
  engine.free(uploaded_ND);
  const isZero = (n: number) => added_ND.subarray(n * D, (n + 1) * D).every((value) => value === 0);
  const silent = new Set(Array.from({ length: count }, (_, n) => n).filter(isZero));
  return { layers: new Map(made), count, K: 1, stand: "beside", silent };
}

/** Returns what prompts of images do, of the rows `[N·K, D]` of each layer. */
export function imagePrompts(
  model: DecoderModel,
  rows: ReadonlyMap<number, Float32Array>,
  { count, K, silent }: Pick<ImagePrompts, "count" | "K" | "silent">,
): ImagePrompts {
  const { engine } = model;
  const made = [...rows].map(([i, prompts_RD]): [number, PromptKv] => {
    const uploaded_RD = engine.upload(prompts_RD);
    const kv = promptKv(model, model.layers[i], uploaded_RD, count * K, "packed");
    engine.free(uploaded_RD);
    return [i, kv];
  });
  return { layers: new Map(made), count, K, stand: "instead", silent };
}

/**
 * Returns the gradient of the rows `[N·K, D]` in one layer, of those of the tokens that saw them. What reaches the key of a value
 * beside the prompts is left out: it is 0 but for rounding, since a softmax over one score does not move.
 */
export async function imagesBackward(
  model: DecoderModel,
  layer: number,
  { count, K, stand, layers }: ImagePrompts,
  gradients: readonly OwnedGradient[],
): Promise<Float32Array> {
  const { engine, config } = model;
  const width = config.kvHeads * config.headDim;
  const Y = 2 * width;
  const sums_RY = new Float64Array(count * K * Y);
  for (const { dkv_KY, of } of gradients) {
    const own_KY = await engine.read(dkv_KY);
    const at = (of?.image ?? 0) * K * Y;
    for (let i = 0; i < K * Y; i++) if (stand === "instead" || i % Y >= width) sums_RY[at + i] += own_KY[i];
  }
  const dkv_RY: DeviceArray = engine.upload(Float32Array.from(sums_RY));
  const { beforeNorm } = layers.get(layer) ?? {};
  const drows_RD = promptKvBackward(model, model.layers[layer], dkv_RY, { K: count * K, beforeNorm });
  const values = await engine.read(drows_RD);
  engine.free(drows_RD);
  return values;
}
