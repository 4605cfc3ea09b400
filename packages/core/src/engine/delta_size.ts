/** Sizes of gated delta nets that every engine shares, and their check. */
import type { DeltaInput, DeltaSize, DeltaWeights } from "./engine.ts";

/**
 * Returns the channels of a delta net's queries, keys and values, C, and the numbers of all its value heads, M.
 *
 * @example
 * deltaWidths({ keyHeads: 2, valueHeads: 4, keyDim: 6, valueDim: 8 }).C; // 56
 */
export function deltaWidths({ keyHeads, keyDim, valueHeads, valueDim }: Omit<DeltaSize, "T" | "taps">): {
  C: number;
  M: number;
} {
  const M = valueHeads * valueDim;
  return { C: 2 * keyHeads * keyDim + M, M };
}

/**
 * Counts the numbers of a state: the last inputs of the convolution, then a matrix for each value head, a row of keys for each number
 * of a value.
 *
 * @example
 * deltaStateLength({ T: 1, keyHeads: 1, valueHeads: 1, keyDim: 6, valueDim: 8, taps: 4 }); // 108
 */
export function deltaStateLength(size: DeltaSize): number {
  const { C, M } = deltaWidths(size);
  return (size.taps - 1) * C + M * size.keyDim;
}

/** Checks what a gated delta rule is given. Throws a `RangeError` that names what does not fit. */
export function checkDelta(
  attempt: string,
  { input, weights, cuSeqlens }: { input: DeltaInput; weights: DeltaWeights; cuSeqlens: Int32Array },
  size: DeltaSize,
): void {
  const { T, keyHeads, valueHeads: N, taps } = size;
  const { C } = deltaWidths(size);
  const fail = (found: string): never => {
    throw new RangeError(`Cannot run ${attempt}: ${found}`);
  };
  if (N % keyHeads !== 0) fail(`${N} value heads do not share ${keyHeads} key heads evenly`);
  const expect = (name: string, found: number, needed: number) => {
    if (found !== needed) fail(`${name} has ${found} numbers, ${needed} are needed`);
  };
  const { conv_CL, rate_N, bias_N } = weights;
  if (conv_CL.rows !== C || conv_CL.columns !== taps) {
    fail(`conv_CL is ${conv_CL.rows} by ${conv_CL.columns}, ${C} by ${taps} is needed`);
  }
  expect("rate_N", rate_N.rows * rate_N.columns, N);
  expect("bias_N", bias_N.rows * bias_N.columns, N);
  expect("x_TC", input.x_TC.length, T * C);
  expect("gates_T2N", input.gates_T2N.length, 2 * T * N);
  const ascends = cuSeqlens.every((offset, s) => (s === 0 ? offset === 0 : offset >= cuSeqlens[s - 1]));
  if (!ascends || cuSeqlens.at(-1) !== T) fail(`cuSeqlens must ascend from 0 to T=${T}`);
}
