/** `metrics.jsonl`: one JSON line per step and per validation, each step once, also after a crash and a resume. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Trouble } from "../files/trouble.ts";
import { type EvaluationMetrics, isEvaluation, type MetricsLine, type StepMetrics } from "./metrics_line.ts";
import { type LineKind, openSteppedFile, readSteppedLines, type SteppedFile } from "./stepped_lines.ts";

const FILE_NAME = "metrics.jsonl";

/** The lines of metrics.jsonl by kind. */
export interface Metrics {
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationMetrics[];
  /** Lines that are no metrics: the half-written last one of a crashed run, or damage. */
  readonly unreadable: number;
}

/** Appends to a run's metrics. A line is handed to the system as a whole, so that a killed run loses none that it wrote. */
export type MetricsFile = SteppedFile<MetricsLine>;

/**
 * Opens `metrics.jsonl` of a run that goes on after `step` steps; undefined: one that starts, perhaps again. What the
 * run is about to do again, and a half-written end, is cut off first: lines stand in the order of their steps. Where they do
 * not, or are no metrics, that is reported to `onDamage`, and a copy of the file is kept.
 */
export function openMetrics(
  runDir: string,
  step: number | undefined,
  trouble: Trouble,
  onDamage: (sentence: string) => void,
): MetricsFile {
  return openSteppedFile(metricsPath(runDir), step, kind, trouble, onDamage);
}

/** Returns the path of a run's metrics. */
export function metricsPath(runDir: string): string {
  return join(runDir, FILE_NAME);
}

/** All metrics of a run, in the order of the file; none if the run has no such file yet. */
export function readMetrics(runDir: string): Metrics {
  const path = metricsPath(runDir);
  return existsSync(path) ? readMetricsFile(path) : { steps: [], evaluations: [], unreadable: 0 };
}

/** The same of a file, which may be a copy. */
export function readMetricsFile(path: string): Metrics {
  const { lines, unreadable } = readSteppedLines(path, kind);
  return {
    steps: lines.filter((line): line is StepMetrics => !isEvaluation(line)),
    evaluations: lines.filter(isEvaluation),
    unreadable,
  };
}

/** Only what readers divide by, sort by or draw is checked: later versions may add fields. */
function readLine(
  value: Partial<Record<keyof StepMetrics | keyof EvaluationMetrics, unknown>>,
): MetricsLine | undefined {
  const numbers = value.event === "eval" ? evaluationNumbers : stepNumbers;
  const known = value.event === undefined || value.event === "eval";
  const complete = numbers.every((key) => typeof value[key] === "number");
  const gates =
    value.event === "eval" || (Array.isArray(value.gates) && value.gates.every((g) => typeof g === "number"));
  return known && complete && gates ? (value as MetricsLine) : undefined;
}

const kind: LineKind<MetricsLine> = { of: "metrics", read: readLine };

const evaluationNumbers = ["step", "epoch", "loss", "perplexity", "labelledTokens"] as const;
const stepNumbers = [
  ...(["step", "epoch", "loss", "learningRate", "gradientNorm"] as const),
  ...(["labelledTokens", "tokens", "labelledTokensPerSecond", "tokensPerSecond"] as const),
  ...(["computeMs", "reduceMs", "waitMs", "stepMs"] as const),
];
