/** How near the answers of several models are to the expected ones, with intervals, and the differences to the first model. */
import { bootstrapIntervals, type Interval, wilsonInterval } from "./statistics.ts";
import { CHRF_COUNTS, chrfCounts, chrfOf, isExactMatch, rougeL } from "./text_scores.ts";

/** Ways to compare a text with the expected one. */
export const writtenMetrics = ["exactMatch", "rougeL", "chrF"] as const;

/** A way to compare a text with the expected one: a share, a mean from 0 to 1, or of all texts together from 0 to 100. */
export type WrittenMetric = (typeof writtenMetrics)[number];

/** A score with its interval of 95 %: Wilson's of a share, else by 10,000 resamples of the answers. */
export interface WrittenScore {
  readonly value: number;
  readonly interval: Interval;
}

/** What a model's answers are worth. */
export interface WrittenResult extends Readonly<Record<WrittenMetric, WrittenScore>> {
  readonly model: string;
}

/** Scores of a model less those of the first one, on the same answers. */
export interface WrittenDifference extends WrittenResult {
  readonly against: string;
}

/** An expected answer, and what each model wrote. */
export interface WrittenAnswer {
  readonly expected: string;
  /** In the order of the models. */
  readonly texts: readonly string[];
}

/** Numbers of a model in a row: exact match, ROUGE-L, counts of chrF. */
const WIDTH = 2 + CHRF_COUNTS;

/** Compares the answers of models. */
export function scoreWritten(
  models: readonly string[],
  answers: readonly WrittenAnswer[],
): { readonly results: readonly WrittenResult[]; readonly differences: readonly WrittenDifference[] } {
  const rows = answers.map(({ expected, texts }) =>
    models.flatMap((_, m) => {
      const text = texts[m] ?? "";
      return [isExactMatch(text, expected) ? 1 : 0, rougeL(text, expected), ...chrfCounts(text, expected)];
    }),
  );
  const count = answers.length;
  const scoresOf = (sums: ArrayLike<number>) =>
    models.flatMap((_, m) => {
      const own = Array.from({ length: WIDTH }, (__, i) => sums[m * WIDTH + i] ?? 0);
      return [(own[0] ?? 0) / count, (own[1] ?? 0) / count, chrfOf(own.slice(2))];
    });
  const metrics = writtenMetrics.length;
  const statistics = (sums: ArrayLike<number>) => {
    const scores = scoresOf(sums);
    return [...scores, ...scores.slice(metrics).map((score, i) => score - (scores[i % metrics] ?? 0))];
  };
  const totals = Array.from({ length: models.length * WIDTH }, (_, i) =>
    rows.reduce((sum, row) => sum + (row[i] ?? 0), 0),
  );
  const values = statistics(totals);
  const intervals = bootstrapIntervals(rows, statistics);
  const named = (model: string, at: number): WrittenResult => {
    const scores = writtenMetrics.map((metric, i) => {
      return [metric, { value: values[at + i] ?? 0, interval: intervals[at + i] ?? [0, 0] }] as const;
    });
    return { model, ...(Object.fromEntries(scores) as Record<WrittenMetric, WrittenScore>) };
  };
  const results = models.map((model, m): WrittenResult => {
    const own = named(model, metrics * m);
    const { value } = own.exactMatch;
    return { ...own, exactMatch: { value, interval: wilsonInterval(Math.round(value * count), count) } };
  });
  const differences = models.slice(1).map((model, m): WrittenDifference => {
    return { ...named(model, metrics * (models.length + m)), against: models[0] ?? "" };
  });
  return { results, differences };
}
