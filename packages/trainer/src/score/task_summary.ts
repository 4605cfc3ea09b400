/** What the answers to a task come to: shares of right ones with their intervals, by section, and differences between models. */
import { type Interval, type PairedDifference, pairedDifference, wilsonInterval } from "@zerogate/data";

/** A way to count answers as right. */
export type TaskMetric = "acc" | "acc_norm" | "strict" | "flexible";

/** A question as each model answered it: a line of `items.jsonl`. */
export interface AnsweredItem {
  readonly task: string;
  /** The number of its record in the file, from 0. */
  readonly doc: number;
  /** @default the task has none */
  readonly section?: string;
  /** The place of the right choice. @default the answer is written */
  readonly gold?: number;
  /** By the name of the model. */
  readonly models: Readonly<Record<string, ModelAnswer>>;
  /** Texts that lost their beginning, because they are longer than the model's context. */
  readonly truncated: number;
}

/** What one model answered. */
export interface ModelAnswer {
  readonly right: Readonly<Partial<Record<TaskMetric, boolean>>>;
  /** Of each choice, the sum of the log-likelihoods of its tokens, in nats. @default the answer is written */
  readonly logLikelihoods?: readonly number[];
  /** The place of the likeliest choice. @default the answer is written */
  readonly chosen?: number;
  /** What it wrote. @default it chose */
  readonly text?: string;
}

/** A share of right answers. */
interface Accuracy {
  readonly value: number;
  /** Wilson's, 95 %. */
  readonly interval: Interval;
  readonly right: number;
}

/** What a model is worth at a task. */
interface ModelResult extends Partial<Record<TaskMetric, Accuracy>> {
  readonly model: string;
}

/** A further model compared with the first. */
interface Comparison extends PairedDifference {
  readonly model: string;
  readonly against: string;
  readonly metric: TaskMetric;
}

/** The results of some questions. */
interface SectionSummary {
  readonly questions: number;
  readonly results: readonly ModelResult[];
}

/** The results of a task. */
export interface TaskSummary extends SectionSummary {
  readonly task: string;
  readonly metrics: readonly TaskMetric[];
  readonly comparisons: readonly Comparison[];
  /** In the order of the file; absent if the task has none. */
  readonly sections?: readonly (SectionSummary & { readonly name: string })[];
  readonly truncated: number;
}

/**
 * Counts what is right, by model, metric and section.
 * @param models in the order in which they are shown; the first is what others are compared with
 */
export function summarize(
  { name: task, metrics }: { readonly name: string; readonly metrics: readonly TaskMetric[] },
  items: readonly AnsweredItem[],
  models: readonly string[],
): TaskSummary {
  const [first = "", ...others] = models;
  const comparisons = others.flatMap((model) =>
    metrics.map((metric): Comparison => {
      return {
        model,
        against: first,
        metric,
        ...pairedDifference(rights(items, first, metric), rights(items, model, metric)),
      };
    }),
  );
  const names = [...new Set(items.flatMap(({ section }) => section ?? []))];
  const sections = names.map((name) => {
    const own = items.filter(({ section }) => section === name);
    return { name, questions: own.length, results: resultsOf(own, models, metrics) };
  });
  const truncated = items.reduce((sum, item) => sum + item.truncated, 0);
  const results = resultsOf(items, models, metrics);
  return {
    task,
    metrics,
    questions: items.length,
    results,
    comparisons,
    ...(names.length > 0 && { sections }),
    truncated,
  };
}

function resultsOf(
  items: readonly AnsweredItem[],
  models: readonly string[],
  metrics: readonly TaskMetric[],
): ModelResult[] {
  return models.map((model) => {
    const ofMetrics = metrics.map((metric) => {
      const right = rights(items, model, metric).filter(Boolean).length;
      return [metric, { value: right / items.length, interval: wilsonInterval(right, items.length), right }] as const;
    });
    return { model, ...Object.fromEntries(ofMetrics) };
  });
}

const rights = (items: readonly AnsweredItem[], model: string, metric: TaskMetric): boolean[] =>
  items.map(({ models }) => models[model]?.right[metric] === true);
