/**
 * What images do in the adapted layers of a pass: rows of keys and values for each image, for the tokens of its sequences.
 *
 * Fusion `global` adds one vector I to all prompts of a layer, which leaves every softmax over them as it was: each score of a query
 * moves by the same q·W_k·I. So the vector comes through as its value alone, whatever the query (spec of images §3):
 *
 *   gate · Σ_j S[j]·W_v·(p[j] + I)  =  gate · Σ_j S[j]·W_v·p[j]  +  gate · u,   u = W_v·I
 *
 * The second term is attention to one prompt without a key, which is how engines compute it, beside the prompts: with a key of zeros
 * its weight is 1 to the last bit, so an engine may leave the scores out. Its backward needs no more of an engine than sums over the
 * tokens of an image, with G heads of u and H of the gates (g is the head of u of head h):
 *
 *   B[h] = Σ_t do[t, h],   dgate[h] = B[h]·u[g],   du[g] = Σ_{h of g} gate[h]·B[h],   dI = W_vᵀ·du
 *
 * Fusion `query` adds a vector to each prompt, so its images have prompts of their own in place of those of texts.
 */
import type { Matrix, RowRange } from "../engine/engine.ts";
import type { OwnedGradient } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import { promptKv, promptKvBackward } from "./prompt_kv.ts";
import type { ImagePrompts, ImageSums, PromptKv } from "./prompts.ts";

/** Returns what vectors `[N, D]`, added to all prompts of these layers, do there. */
export function imageValues(model: DecoderModel, layers: readonly number[], added_ND: Float32Array): ImagePrompts {
  const { engine, config } = model;
  const D = config.hiddenSize;
  const count = added_ND.length / D;
  const V = config.kvHeads * config.headDim;
  const [uploaded_ND, keys_NV] = [engine.upload(added_ND), engine.upload(new Float32Array(count * V))];
  const made = layers.map((i): [number, PromptKv] => {
    const { qkv } = model.layers[i];
    // No bias: the prompts have it. `packed`: an image has the same bits beside any others.
    const values_NV = engine.linear(uploaded_ND, qkv, { T: count, rows: valueRows(qkv, V), order: "packed" });
    const kv_KY = engine.joinColumns(keys_NV, values_NV, { T: count, A: V, B: V, X: 2 * V });
    engine.free(values_NV);
    return [i, { kv_KY, beforeNorm: undefined }];
  });
  engine.free(uploaded_ND, keys_NV);
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
    const kv = promptKv(model, model.layers[i], uploaded_RD, count * K, { order: "packed" });
    engine.free(uploaded_RD);
    return [i, kv];
  });
  return { layers: new Map(made), count, K, stand: "instead", silent };
}

/** The value rows of the merged projection, its last. */
const valueRows = ({ rows }: Matrix, V: number): RowRange => [rows - V, rows];

/** What the tokens of one range say of the images that they saw in a layer. */
export interface ImageGradient {
  /** Of the rows `[N·K, D]`. */
  readonly dimages: Float32Array;
  /** Of the effective gates, through images alone. */
  readonly dgate_H: Float64Array;
}

/** Returns the gradient of images beside the prompts. `range`: whose tokens count. */
export async function imageValuesBackward(
  model: DecoderModel,
  layer: number,
  { count, layers }: ImagePrompts,
  { sums_SQ, sets }: ImageSums,
  range: number,
): Promise<ImageGradient> {
  const { engine, config } = model;
  const { heads: H, kvHeads: G, headDim: d } = config;
  const V = G * d;
  const bound = layers.get(layer);
  if (!bound) throw new RangeError(`Cannot run images of layer ${layer} backward: none were bound there`);
  const [sums, kv] = await Promise.all([engine.read(sums_SQ), engine.read(bound.kv_KY)]);
  const dgate_H = new Float64Array(H);
  const du_NV = new Float64Array(count * V);
  for (const [s, { of, range: owner, gate_H }] of sets.entries()) {
    if (!of || owner !== range) continue;
    for (let h = 0; h < H; h++) {
      const g = Math.floor((h * G) / H);
      const [at, u, du] = [(s * H + h) * d, of.image * 2 * V + V + g * d, of.image * V + g * d];
      let dgate = 0;
      for (let i = 0; i < d; i++) {
        dgate += sums[at + i] * kv[u + i];
        du_NV[du + i] += gate_H[h] * sums[at + i];
      }
      dgate_H[h] += dgate;
    }
  }
  const { qkv } = model.layers[layer];
  const uploaded_NV = engine.upload(new Float32Array(du_NV));
  const dadded_ND = engine.linearBackward(uploaded_NV, qkv, { T: count, rows: valueRows(qkv, V), toRead: true });
  const dimages = await engine.read(dadded_ND);
  engine.free(uploaded_NV, dadded_ND);
  return { dimages, dgate_H };
}

/** Returns the gradient of images whose tokens attended to prompts of their own. */
export async function imagePromptsBackward(
  model: DecoderModel,
  layer: number,
  { count, K, layers }: ImagePrompts,
  gradients: readonly OwnedGradient[],
): Promise<ImageGradient> {
  const { engine, config } = model;
  const Y = 2 * config.kvHeads * config.headDim;
  const dgate_H = new Float64Array(config.heads);
  const sums_RY = new Float64Array(count * K * Y);
  for (const { dkv_KY, dgate_H: own, of } of gradients) {
    const [dkv, dgate] = await Promise.all([engine.read(dkv_KY), engine.read(own)]);
    const at = (of?.image ?? 0) * K * Y;
    for (let i = 0; i < K * Y; i++) sums_RY[at + i] += dkv[i];
    for (const [h, d] of dgate.entries()) dgate_H[h] += d;
  }
  const dkv_RY = engine.upload(new Float32Array(sums_RY));
  const { beforeNorm } = layers.get(layer) ?? {};
  const { dprompt_KD: drows_RD } = promptKvBackward(model, model.layers[layer], dkv_RY, { K: count * K, beforeNorm });
  const dimages = await engine.read(drows_RD);
  engine.free(drows_RD);
  return { dimages, dgate_H };
}
