/** `samples.jsonl`: answers to the same held-out prompts while a run goes on, the base's once, the adapter's each time. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Trouble } from "../files/trouble.ts";
import { openSteppedFile, readSteppedLines, type SteppedFile } from "./stepped_lines.ts";

const FILE_NAME = "samples.jsonl";

/** An answer to a held-out prompt: a line of `samples.jsonl`. */
export interface SampledAnswer {
  /** Steps done when it was asked. */
  readonly step: number;
  /** The held-out sample, by its number in its set. */
  readonly sample: number;
  readonly prompt: string;
  /** What the data says. */
  readonly expected: string;
  /** The answer of the base. @default the line is of the adapter */
  readonly base?: string;
  /** The answer of the adapter. @default the line is of the base */
  readonly adapter?: string;
}

/** Appends to a run's samples. */
export interface SamplesFile extends SteppedFile<SampledAnswer> {
  /** Whether the adapter after `step` steps has answered a sample, or without a step the base. */
  has(sample: number, step?: number): boolean;
}

/** Opens `samples.jsonl` of a run that goes on after `step` steps; undefined: one that starts. As `openMetrics` does. */
export function openSamples(
  runDir: string,
  step: number | undefined,
  trouble: Trouble,
  onDamage: (sentence: string) => void,
): SamplesFile {
  const path = samplesPath(runDir);
  const file = openSteppedFile(path, step, kind, trouble, onDamage);
  const answered = new Set(readSteppedLines(path, kind).lines.map(nameOfLine));
  return {
    has: (sample, at) => answered.has(nameOf({ sample, step: at })),
    write(line) {
      answered.add(nameOfLine(line));
      file.write(line);
    },
    close: file.close,
  };
}

/** Returns all answers of a run, in the order of the file; none if it has no such file. */
export function readSamples(runDir: string): readonly SampledAnswer[] {
  const path = samplesPath(runDir);
  return existsSync(path) ? readSteppedLines(path, kind).lines : [];
}

/** Returns the path of a run's samples. */
export function samplesPath(runDir: string): string {
  return join(runDir, FILE_NAME);
}

const nameOfLine = ({ step, sample, base }: SampledAnswer): string =>
  nameOf({ sample, step: base === undefined ? step : undefined });

const nameOf = ({ sample, step }: { readonly sample: number; readonly step: number | undefined }): string =>
  `${sample} ${step ?? "base"}`;

const kind = {
  of: "samples",
  read(value: Partial<Record<keyof SampledAnswer, unknown>>): SampledAnswer | undefined {
    const { step, sample, prompt, expected, base, adapter } = value;
    const isComplete = typeof step === "number" && typeof sample === "number" && typeof prompt === "string";
    const isAnswered = typeof expected === "string" && typeof (base ?? adapter) === "string";
    return isComplete && isAnswered ? (value as SampledAnswer) : undefined;
  },
};
