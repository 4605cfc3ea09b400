/** Logits of chosen tokens: for generation, parity checks and `inspect`. Training never makes them (see `headLoss`). */
import type { AdapterState } from "../adapter/state.ts";
import type { DeviceArray } from "../engine/engine.ts";
import type { LlamaModel } from "./llama.ts";
import { openPass, type PackedTokens, preparePrompts, runLayers } from "./pass.ts";

/** Logits `[R, V]` of the tokens at `rows_R` (default: all T of them), row-major. Without an adapter: of the base. */
export async function tokenLogits(
  model: LlamaModel,
  adapter: AdapterState | undefined,
  tokens: PackedTokens,
  rows_R: Int32Array = Int32Array.from(tokens.ids_T.keys()),
): Promise<Float32Array> {
  const { engine } = model;
  return engine.arena(async () => {
    const { y_TD } = runLayers(model, tokens, openPass(model, tokens), preparePrompts(model, adapter), false);
    return engine.read(headLogits(model, y_TD, tokens.ids_T.length, rows_R));
  });
}

/** Final norm and head over the given rows of the top layer's output. Frees `y_TD`. */
export function headLogits(
  { engine, config, finalNorm, head }: LlamaModel,
  y_TD: DeviceArray,
  T: number,
  rows_R: Int32Array,
): DeviceArray {
  const R = rows_R.length;
  const D = config.hiddenSize;
  const x_RD = engine.gatherRows(y_TD, rows_R, { T, D });
  const norm = engine.rmsNorm(x_RD, finalNorm, { T: R, D, eps: config.rmsNormEps });
  const z_RV = engine.linear(norm.y_TD, head, { T: R });
  engine.free(y_TD, x_RD, norm.y_TD, norm.rstd_T);
  return z_RV;
}

/** One sequence as packed tokens, its positions starting at `start`. */
export function oneSequence(ids: readonly number[] | Int32Array, start = 0): PackedTokens {
  return {
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from({ length: ids.length }, (_, i) => start + i),
    cuSeqlens: Int32Array.of(0, ids.length),
  };
}
