/** `metrics.jsonl`: one JSON line per step and per validation, each step once, also after a crash and a resume. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type EvaluationMetrics, isEvaluation, type MetricsLine, type StepMetrics } from "./records.ts";

const FILE_NAME = "metrics.jsonl";

export interface Metrics {
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationMetrics[];
  /** Lines that are no metrics: the half-written last one of a crashed run, or damage. */
  readonly unreadable: number;
}

/** Appends to a run's metrics. A line is handed to the system as a whole, so that a killed run loses none that it wrote. */
export interface MetricsFile {
  write(line: MetricsLine): void;
  close(): void;
}

/**
 * Opens `metrics.jsonl` of a run that goes on after `step` steps; undefined: one that starts, perhaps once more. Lines of
 * what the run is about to do again, and unreadable ones, are taken out first; that rewrite is atomic.
 */
export function openMetrics(runDir: string, step: number | undefined): MetricsFile {
  const path = join(runDir, FILE_NAME);
  if (existsSync(path)) keepUntil(path, step ?? -1);
  const file = openSync(path, "a");
  return {
    write: (line) => {
      writeSync(file, `${JSON.stringify(line)}\n`);
    },
    close: () => closeSync(file),
  };
}

/** All metrics of a run, in the order of the file; none where the run has no such file yet. */
export function readMetrics(runDir: string): Metrics {
  const path = join(runDir, FILE_NAME);
  const { lines, unreadable } = existsSync(path) ? readLines(path) : { lines: [], unreadable: 0 };
  return {
    steps: lines.filter((line): line is StepMetrics => !isEvaluation(line)),
    evaluations: lines.filter(isEvaluation),
    unreadable,
  };
}

function keepUntil(path: string, step: number): void {
  const { lines } = readLines(path);
  const kept = lines.filter((line) => line.step <= step).map((line) => `${JSON.stringify(line)}\n`);
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeFileSync(file, kept.join(""));
    fsyncSync(file); // unflushed, the rename could outlive the data
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function readLines(path: string): { lines: MetricsLine[]; unreadable: number } {
  const lines: MetricsLine[] = [];
  let unreadable = 0;
  for (const text of readFileSync(path, "utf8").split("\n")) {
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
    value = JSON.parse(text);
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
