/** How long many things are: a few numbers and a histogram. */

/** Lengths of records or of their answers. */
export interface LengthSummary {
  readonly shortest: number;
  readonly mean: number;
  readonly longest: number;
  /** The length that this percentage of them does not exceed. */
  readonly percentiles: Readonly<Record<Percentage, number>>;
  /** Counts from `from` to below `to`, without gaps and of one width; the last one goes to the longest. */
  readonly histogram: readonly LengthBin[];
}

/** A bar of a histogram. */
export interface LengthBin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

type Percentage = "5" | "25" | "50" | "75" | "90" | "95" | "99";

const percentages = ["5", "25", "50", "75", "90", "95", "99"] as const;
const MAX_BARS = 20;

export function summarizeLengths(lengths: Int32Array): LengthSummary {
  const sorted = lengths.toSorted();
  const at = (percentage: Percentage) =>
    sorted[Math.max(0, Math.ceil((Number(percentage) / 100) * sorted.length) - 1)] ?? 0;
  const mean = sorted.length === 0 ? 0 : sorted.reduce((sum, length) => sum + length, 0) / sorted.length;
  const percentiles = Object.fromEntries(percentages.map((percentage) => [percentage, at(percentage)]));
  return {
    shortest: sorted[0] ?? 0,
    mean,
    longest: sorted.at(-1) ?? 0,
    percentiles: percentiles as LengthSummary["percentiles"],
    histogram: histogramOf(sorted),
  };
}

/** Bars go from the shortest to the 99th percentile, or one record of a million tokens would leave all others in the first one. */
function histogramOf(sorted: Int32Array): LengthBin[] {
  const [shortest, longest] = [sorted[0], sorted.at(-1)];
  if (shortest === undefined || longest === undefined) return [];
  const most = sorted[Math.ceil(0.99 * sorted.length) - 1]!;
  const width = niceWidth((most + 1 - shortest) / MAX_BARS);
  const first = Math.floor(shortest / width);
  const bars = Math.floor(most / width) + 1 - first;
  const counts = Array.from({ length: bars }, () => 0);
  let longer = 0;
  for (const length of sorted) {
    const bar = Math.floor(length / width) - first;
    if (bar < bars) counts[bar]!++;
    else longer++;
  }
  const bins = counts.map((count, bar) => ({ from: (first + bar) * width, to: (first + bar + 1) * width, count }));
  return longer === 0 ? bins : [...bins, { from: (first + bars) * width, to: longest + 1, count: longer }];
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function niceWidth(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5].map((step) => step * power).find((width) => width >= least) ?? 10 * power;
}
