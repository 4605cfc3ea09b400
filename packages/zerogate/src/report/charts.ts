/** The line charts of a report as data; `page_script.ts` draws them with uPlot. */
import type { EvaluationMetrics, StepMetrics } from "@zerogate/run-files";
import type { ReportData } from "@zerogate/trainer";

interface Series {
  readonly label: string;
  /** Name of a colour of the style sheet. */
  readonly color: string;
  /** What is drawn; in a stacked chart on top of the series after it. */
  readonly drawn: readonly (number | null)[];
  /** What the legend says, if that is not `drawn`. */
  readonly shown?: readonly (number | null)[];
  readonly style: "line" | "faint" | "points" | "area";
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  /** Whether the scale starts at 0 instead of at the lowest value. */
  readonly fromZero: boolean;
  readonly steps: readonly number[];
  readonly series: readonly Series[];
}

/** More points than this are averaged in groups: no screen shows more, and the page stays small. */
const MAX_POINTS = 2000;

/** Charts that have anything to show, in the order of the page. */
export function charts({ metrics }: Pick<ReportData, "metrics">): Chart[] {
  const { evaluations } = metrics;
  const steps = thin(metrics.steps);
  const x = steps.map(({ step }) => step);
  const pick = (key: Exclude<keyof StepMetrics, "gates" | "hostTokens">) => steps.map((step) => rounded(step[key]));
  if (steps.length === 0 && evaluations.length === 0) return [];
  const all: Chart[] = [lossChart(steps, evaluations)];
  if (steps.length === 0) return all;
  all.push(
    {
      title: "Learning rate",
      unit: "",
      fromZero: true,
      steps: x,
      series: [line("learning rate", "blue", pick("learningRate"))],
    },
    {
      title: "Gradient norm",
      unit: "",
      fromZero: true,
      steps: x,
      series: [line("norm before clipping", "violet", pick("gradientNorm"))],
    },
    {
      title: "Speed",
      unit: "tokens/s",
      fromZero: true,
      steps: x,
      series: [
        line("all", "blue", pick("tokensPerSecond")),
        line("labelled", "green", pick("labelledTokensPerSecond")),
      ],
    },
    timeChart(steps),
  );
  return all;
}

function line(label: string, color: string, drawn: readonly (number | null)[]): Series {
  return { label, color, drawn, style: "line" };
}

function lossChart(steps: readonly StepMetrics[], evaluations: readonly EvaluationMetrics[]): Chart {
  const x = [...new Set([...steps, ...evaluations].map(({ step }) => step))].toSorted((a, b) => a - b);
  const training = new Map(steps.map(({ step, loss }) => [step, loss]));
  const smooth = new Map(smoothed(steps).map((loss, i) => [steps[i]?.step, loss]));
  const validation = new Map(evaluations.map(({ step, loss }) => [step, loss]));
  const at = (values: ReadonlyMap<number | undefined, number>) => x.map((step) => rounded(values.get(step) ?? null));
  const series: Series[] = [];
  if (steps.length > 0) {
    series.push({ label: "each batch", color: "blue", drawn: at(training), style: "faint" });
    series.push({ label: "training, smoothed", color: "blue", drawn: at(smooth), style: "line" });
  }
  if (evaluations.length > 0) {
    series.push({ label: "validation", color: "orange", drawn: at(validation), style: "points" });
  }
  return { title: "Loss", unit: "nats per labelled token", fromZero: false, steps: x, series };
}

/** Exponential mean over about a fortieth of the run, corrected for its start. */
function smoothed(steps: readonly StepMetrics[]): number[] {
  const keep = 1 - 1 / Math.max(1, steps.length / 40);
  let mean = 0;
  let weight = 0;
  return steps.map(({ loss }) => {
    if (Number.isFinite(loss)) {
      mean = keep * mean + (1 - keep) * loss;
      weight = keep * weight + (1 - keep);
    }
    return mean / weight;
  });
}

function timeChart(steps: readonly StepMetrics[]): Chart {
  const layers = [
    { label: "wait", color: "grey", of: (s: StepMetrics) => s.waitMs },
    { label: "reduce", color: "orange", of: (s: StepMetrics) => s.reduceMs },
    { label: "compute", color: "blue", of: (s: StepMetrics) => s.computeMs },
  ];
  const series = layers.map(
    ({ label, color, of }, i): Series => ({
      label,
      color,
      drawn: steps.map((s) => rounded(layers.slice(i).reduce((sum, layer) => sum + layer.of(s), 0))),
      shown: steps.map((s) => rounded(of(s))),
      style: "area",
    }),
  );
  return { title: "Time of a step", unit: "ms", fromZero: true, steps: steps.map(({ step }) => step), series };
}

/** At most `MAX_POINTS` lines: groups of neighbours become their mean, at the step that ends the group. */
export function thin(steps: readonly StepMetrics[], limit: number = MAX_POINTS): StepMetrics[] {
  if (steps.length <= limit) return [...steps];
  return Array.from({ length: limit }, (_, i) => {
    const from = Math.floor((i * steps.length) / limit);
    const group = steps.slice(from, Math.floor(((i + 1) * steps.length) / limit));
    const last = group.at(-1) as StepMetrics;
    const mean = (of: (s: StepMetrics) => number) => group.reduce((sum, s) => sum + of(s), 0) / group.length;
    return {
      ...last,
      loss: mean((s) => s.loss),
      gradientNorm: mean((s) => s.gradientNorm),
      gates: last.gates.map((_gate, layer) => mean((s) => s.gates[layer] ?? 0)),
      labelledTokensPerSecond: mean((s) => s.labelledTokensPerSecond),
      tokensPerSecond: mean((s) => s.tokensPerSecond),
      computeMs: mean((s) => s.computeMs),
      reduceMs: mean((s) => s.reduceMs),
      waitMs: mean((s) => s.waitMs),
    };
  });
}

/** Five digits are more than a screen shows. JSON has no NaN: such a point is a gap. */
function rounded(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(5));
}
