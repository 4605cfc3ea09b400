/** Adapters of one table beside each other: how far they are apart, part by part, and what lies between them. */
import { type ParameterTable, partNumbers, type TrainedPart } from "./parameters.ts";

/** Of |a − b| over the numbers of a part. */
export interface PartDistance {
  readonly part: TrainedPart;
  readonly max: number;
  readonly mean: number;
}

/** How far two adapters are apart; `a` and `b` are as flat as the table. */
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

/** Σ weight · numbers, in float64, rounded once. All are of one length. */
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
