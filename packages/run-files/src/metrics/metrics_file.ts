/** `metrics.jsonl`: one JSON line per step and per validation, each step once, also after a crash and a resume. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseStrictJson } from "@zerogate/core/formats";
import { readRegularFileSync } from "@zerogate/core/node";
import { openAppendFile } from "../files/append_file.ts";
import { keepCopy } from "../files/keep_copy.ts";
import type { Trouble } from "../files/trouble.ts";
import { type EvaluationMetrics, isEvaluation, type MetricsLine, type StepMetrics } from "./metrics_line.ts";

const FILE_NAME = "metrics.jsonl";

/** The lines of metrics.jsonl by kind. */
export interface Metrics {
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationMetrics[];
  /** Lines that are no metrics: the half-written last one of a crashed run, or damage. */
  readonly unreadable: number;
}

/** Appends to a run's metrics. A line is handed to the system as a whole, so that a killed run loses none that it wrote. */
export interface MetricsFile {
  /** Adds a line. */
  write(line: MetricsLine): void;
  /** Closes the file. */
  close(): void;
}

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
  const path = metricsPath(runDir);
  const text = step !== undefined && existsSync(path) ? readRegularFileSync(path).toString() : "";
  const damage = damageOf(text);
  if (damage !== undefined) {
    onDamage(`${path} is damaged (${damage}). It is kept as ${keepCopy(path)}; what is in order goes on`);
    writeFileSync(path, linesInOrder(text));
  }
  const file = openAppendFile(path, trouble, existsSync(path) ? bytesUntil(path, step ?? -1) : 0);
  return { write: (line) => file.write(`${JSON.stringify(line)}\n`), close: file.close };
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
  const { lines, unreadable } = readLines(path);
  return {
    steps: lines.filter((line): line is StepMetrics => !isEvaluation(line)),
    evaluations: lines.filter(isEvaluation),
    unreadable,
  };
}

/** Up to the end of the last line that the run keeps. */
function bytesUntil(path: string, step: number): number {
  const bytes = readRegularFileSync(path);
  let kept = 0;
  for (let begin = 0, end = bytes.indexOf(10) + 1; end > 0; begin = end, end = bytes.indexOf(10, begin) + 1) {
    const line = parseLine(bytes.toString("utf8", begin, end));
    if (line === undefined) continue;
    if (line.step > step) break;
    kept = end;
  }
  return kept;
}

/** The first line that is no metrics or out of order; a last one that was written in part is no damage. */
function damageOf(text: string): string | undefined {
  let before = -1;
  for (const [i, line] of text.split("\n").slice(0, -1).entries()) {
    const parsed = parseLine(line);
    if (parsed === undefined) return `line ${i + 1} is no line of metrics`;
    if (parsed.step < before) return `line ${i + 1} is of step ${parsed.step}, the one before of step ${before}`;
    before = parsed.step;
  }
  return undefined;
}

/** Lines whose steps fit between those around them. */
function linesInOrder(text: string): string {
  const lines = text.split("\n").flatMap((line) => {
    const parsed = parseLine(line);
    return parsed === undefined ? [] : [{ line, step: parsed.step }];
  });
  let before = -1;
  const kept = lines.filter(({ step }, i) => {
    const fits = before <= step && step <= (lines[i + 1]?.step ?? step);
    if (fits) before = step;
    return fits;
  });
  return kept.map(({ line }) => `${line}\n`).join("");
}

function readLines(path: string): { lines: MetricsLine[]; unreadable: number } {
  const lines: MetricsLine[] = [];
  let unreadable = 0;
  for (const text of readRegularFileSync(path).toString().split("\n")) {
    if (text === "") continue;
    const line = parseLine(text);
    if (line === undefined) unreadable++;
    else lines.push(line);
  }
  return { lines, unreadable };
}

/** Only what readers divide by, sort by or draw is checked: later versions may add fields. */
function parseLine(text: string): MetricsLine | undefined {
  let value: unknown;
  try {
    value = parseStrictJson(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const line = value as Partial<Record<keyof StepMetrics | keyof EvaluationMetrics, unknown>>;
  const numbers = line.event === "eval" ? evaluationNumbers : stepNumbers;
  const known = line.event === undefined || line.event === "eval";
  const complete = numbers.every((key) => typeof line[key] === "number");
  const gates = line.event === "eval" || (Array.isArray(line.gates) && line.gates.every((g) => typeof g === "number"));
  return known && complete && gates ? (value as MetricsLine) : undefined;
}

const evaluationNumbers = ["step", "epoch", "loss", "perplexity", "labelledTokens"] as const;
const stepNumbers = [
  ...(["step", "epoch", "loss", "learningRate", "gradientNorm"] as const),
  ...(["labelledTokens", "tokens", "labelledTokensPerSecond", "tokensPerSecond"] as const),
  ...(["computeMs", "reduceMs", "waitMs", "stepMs"] as const),
];
