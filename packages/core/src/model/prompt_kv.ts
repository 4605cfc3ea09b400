/** Keys and values of prompts, forward and backward. Shape suffixes: engine.ts. */
import type { DeviceArray, LinearOrder, RowRange } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import type { PromptKv } from "./prompts.ts";
import { keyNormBackward, keyNormForward } from "./qk_norm.ts";
import { type MapGradient, type MapVectors, mapOfRows, tune, tuneBackward } from "./tuned.ts";

/** The key and value rows of the merged projection, its last. */
const kvRows = ({ config }: DecoderModel, layer: DecoderLayer): RowRange => [
  layer.qkv.rows - 2 * config.kvHeads * config.headDim,
  layer.qkv.rows,
];

/** Keys and values of the prompts: projected, tuned and normed like hidden states, never rotated (a prompt has no position). */
export function promptKv(
  model: DecoderModel,
  layer: DecoderLayer,
  prompt_KD: DeviceArray,
  K: number,
  { order = "any", vectors }: { readonly order?: LinearOrder; readonly vectors?: MapVectors | undefined } = {},
): PromptKv {
  const { engine } = model;
  const rows = kvRows(model, layer);
  const u_KY = engine.linear(prompt_KD, layer.qkv, { T: K, rows, bias: layer.qkvBias, order });
  const map = vectors && mapOfRows(engine, vectors, K);
  const raw_KY = map ? tune(engine, u_KY, map) : u_KY;
  const tuned = map && { map, u_KY };
  if (!layer.qkNorm) return { kv_KY: raw_KY, beforeNorm: undefined, tuned };
  const { kv_TY, saved } = keyNormForward(engine, layer.qkNorm.keys, raw_KY, promptSize(model, K));
  engine.free(raw_KY);
  return { kv_KY: kv_TY, beforeNorm: saved, tuned };
}

/** Gradient of the prompts themselves, of that of their keys and values, and of the vectors that tune these; for the host to read. Frees `dkv_KY`. */
export function promptKvBackward(
  model: DecoderModel,
  layer: DecoderLayer,
  dkv_KY: DeviceArray,
  { K, beforeNorm, tuned }: { K: number } & Omit<PromptKv, "kv_KY">,
): { dprompt_KD: DeviceArray; vectors: MapGradient | undefined } {
  const { engine } = model;
  const rows = kvRows(model, layer);
  const draw_KY =
    layer.qkNorm && beforeNorm
      ? keyNormBackward(engine, layer.qkNorm.keys, dkv_KY, beforeNorm, promptSize(model, K))
      : dkv_KY;
  const { du_TN, ...vectors } = tuned ? tuneBackward(engine, draw_KY, tuned.u_KY, tuned.map) : { du_TN: draw_KY };
  const dprompt_KD = engine.linearBackward(du_TN, layer.qkv, { T: K, rows, toRead: true });
  engine.free(...new Set([dkv_KY, draw_KY, du_TN]));
  return { dprompt_KD, vectors: "dscale_SN" in vectors ? vectors : undefined };
}

/** Rows of keys and values without queries. */
const promptSize = ({ config }: DecoderModel, K: number) => ({ T: K, H: 0, G: config.kvHeads, d: config.headDim });
