/** What a matrix product is of. */
import type { TYPE } from "./native/cublaslt.ts";

export type NumberType = keyof typeof TYPE;

export interface Product {
  /** Rows of x and y, columns of y, what is summed over. */
  readonly T: number;
  readonly N: number;
  readonly K: number;
  /** The weight lies as [N, K] (forward) or as [K, N] (backward). */
  readonly transposed: boolean;
  readonly input: NumberType;
  readonly output: NumberType;
}
