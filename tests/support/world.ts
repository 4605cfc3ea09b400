/** The base and instructions that come with zerogate, cut down to runs of a few seconds. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const world = fileURLToPath(new URL("../../packages/trainer/world/", import.meta.url));

export const base: string = join(world, "base");
export const heldOutFile: string = join(world, "heldout.json");

export interface AlpacaRecord {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

/** The first `count` records of a file of the world. */
export function records(file: "train.json" | "heldout.json", count: number): AlpacaRecord[] {
  return (JSON.parse(readFileSync(join(world, file), "utf8")) as AlpacaRecord[]).slice(0, count);
}

/**
 * Writes `data.json` and `held.json` into `folder` and returns the flags of a run of 6 steps on them, all but `--out`.
 * `changes` replaces flags or adds them.
 */
export function tinyRun(folder: string, changes: Readonly<Record<string, string>> = {}): string[] {
  writeFileSync(join(folder, "data.json"), JSON.stringify(records("train.json", 64)));
  writeFileSync(join(folder, "held.json"), JSON.stringify(records("heldout.json", 8)));
  const flags = {
    "--model": base,
    "--data": "data.json",
    "--validation-data": "held.json",
    "--seed": "7",
    "--steps": "6",
    "--batch-size": "8",
    "--max-length": "128",
    "--cell-tokens": "128",
    "--report-answers": "0",
    "--compute": "f32", // the same numbers on every processor
    ...changes,
  };
  return Object.entries(flags).flat();
}

/** Words of a run with these flags. */
export const trainWords = (
  flags: readonly string[],
  out: string,
  workers: number,
  more: readonly string[] = [],
): string[] => ["train", ...flags, "--out", out, "--workers", String(workers), "--json", ...more];

/** SHA-256 of the trained adapter. */
export function adapterHash(runDir: string): string {
  const file = join(runDir, "adapter", "adapter_model.safetensors");
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** `[step, loss]` of every training step in `metrics.jsonl`, in the order of the file. */
export function stepLosses(runDir: string): [step: number, loss: number][] {
  return metricsLines(runDir).flatMap(({ event, step, loss }) => (event === undefined ? [[step, loss]] : []));
}

/** `[step, loss]` of every validation. */
export function validationLosses(runDir: string): [step: number, loss: number][] {
  return metricsLines(runDir).flatMap(({ event, step, loss }) => (event === "eval" ? [[step, loss]] : []));
}

/** Every training step of `metrics.jsonl`. */
export function stepMetrics(runDir: string): Line[] {
  return metricsLines(runDir).filter(({ event }) => event === undefined);
}

interface Line {
  readonly event?: string;
  readonly step: number;
  readonly loss: number;
  readonly tokens: number;
  readonly epoch: number;
  readonly learningRate: number;
  /** Of several hosts. */
  readonly hostTokens?: readonly number[];
}

function metricsLines(runDir: string): Line[] {
  const text = readFileSync(join(runDir, "metrics.jsonl"), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}
