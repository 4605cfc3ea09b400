/** How sure an accuracy is, and a difference of two on the same questions. */
import { pythonRandom } from "./python_random.ts";

/** The 97.5th percentile of the normal distribution: an interval of 95 %. */
const Z = 1.959963984540054;
const RESAMPLES = 10_000;
const BOOTSTRAP_SEED = 1;

/** From its lower to its upper end. */
export type Interval = readonly [low: number, high: number];

/**
 * Wilson's interval of 95 % for `right` of `count` (Wilson 1927):
 *
 *   (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)
 *
 * Unlike p ± 1.96 √(p(1 − p)/n) it stays within 0 and 1 and has a width when all are right.
 */
export function wilsonInterval(right: number, count: number): Interval {
  if (count === 0) return [0, 1];
  const p = right / count;
  const z2 = Z ** 2 / count;
  const middle = p + z2 / 2;
  const reach = Z * Math.sqrt((p * (1 - p)) / count + z2 / (4 * count));
  return [Math.max(0, (middle - reach) / (1 + z2)), Math.min(1, (middle + reach) / (1 + z2))];
}

/** A difference of two accuracies on the same questions. */
export interface PairedDifference {
  /** Of the second over the first. */
  readonly difference: number;
  /** 95 %, by 10,000 resamples of the questions. */
  readonly interval: Interval;
  /** Questions that only the first, or only the second, has right. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** McNemar's exact test: how likely at least this split of them is if both are equally good. */
  readonly p: number;
}

/** Compares what two models have right, question by question. */
export function pairedDifference(first: readonly boolean[], second: readonly boolean[]): PairedDifference {
  const gains = first.map((isRight, i) => Number(second[i]) - Number(isRight));
  const onlySecond = gains.filter((gain) => gain > 0).length;
  const onlyFirst = gains.filter((gain) => gain < 0).length;
  const difference = gains.length === 0 ? 0 : (onlySecond - onlyFirst) / gains.length;
  return { difference, interval: bootstrap(gains), onlyFirst, onlySecond, p: mcNemar(onlyFirst, onlySecond) };
}

/** The interval that the middle 95 % of the means of resamples span. */
function bootstrap(gains: readonly number[]): Interval {
  const rows = gains.map((gain) => [gain]);
  const [interval = [0, 0] as const] = bootstrapIntervals(rows, ([sum = 0]) => [sum / rows.length]);
  return interval;
}

/**
 * Returns for each statistic the interval that the middle 95 % of its values over 10,000 resamples of the rows span. Rows hold what adds
 * up: `statistics` gets the sums of as many rows as there are, drawn with replacement, the same ones for all statistics.
 */
export function bootstrapIntervals(
  rows: readonly (readonly number[])[],
  statistics: (sums: Float64Array) => readonly number[],
): Interval[] {
  const n = rows.length;
  if (n === 0) return [];
  const width = rows[0]?.length ?? 0;
  const table = Float64Array.from(rows.flat());
  const draw = pythonRandom(BOOTSTRAP_SEED);
  const sums = new Float64Array(width);
  const values = Array.from({ length: RESAMPLES }, () => {
    sums.fill(0);
    for (let i = 0; i < n; i++) {
      const at = width * draw.below(n);
      for (let column = 0; column < width; column++) sums[column]! += table[at + column]!;
    }
    return statistics(sums);
  });
  return statistics(sums).map((_, s) => {
    const sorted = Float64Array.from(values, (own) => own[s] ?? 0).toSorted();
    const at = (share: number) => sorted[Math.round(share * (RESAMPLES - 1))] ?? 0;
    return [at(0.025), at(0.975)] as const;
  });
}

/** Two-sided exact test of McNemar (1947): twice the smaller tail of a fair coin thrown b + c times. */
export function mcNemar(b: number, c: number): number {
  const n = b + c;
  if (n === 0) return 1;
  // Sums of logarithms: 2⁻ⁿ is 0 in float64 from n = 1075 on.
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(b, c); k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * tail);
}
