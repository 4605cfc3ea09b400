/** Adapters of one table beside each other: how far they are apart, part by part, and what lies between them. */
import { type ParameterTable, partNumbers, type TrainedPart } from "./parameters.ts";

/** Of |a − b| over the numbers of a part. */
export interface PartDistance {
  readonly part: TrainedPart;
  readonly max: number;
  readonly mean: number;
}

/**
 * Measures how far two adapters of one shape are apart, part by part.
 *
 * @param a is as flat as the table, and so is `b`.
 * @example
 * const moved = partDistances(adapter.layout.table, adapter.params, initParameters(adapter.layout.table, 1));
 */
export function partDistances(table: ParameterTable, a: Float32Array, b: Float32Array): PartDistance[] {
  return table.map((part) => {
    const theirs = partNumbers(part, b);
    let max = 0;
    let sum = 0;
    for (const [i, value] of partNumbers(part, a).entries()) {
      const difference = Math.abs(value - theirs[i]);
      max = Math.max(max, difference);
      sum += difference;
    }
    return { part, max, mean: sum / theirs.length };
  });
}

/**
 * Returns Σ weight · numbers, in float64, rounded once.
 *
 * @example
 * const mean = weightedSum([{ params: adapter.params, weight: 0.5 }, { params: other.params, weight: 0.5 }]);
 */
export function weightedSum(
  adapters: readonly { readonly params: Float32Array; readonly weight: number }[],
): Float32Array {
  const params = new Float32Array(adapters[0]?.params.length ?? 0);
  for (let i = 0; i < params.length; i++) {
    let sum = 0;
    for (const adapter of adapters) sum += adapter.weight * adapter.params[i];
    params[i] = sum;
  }
  return params;
}
