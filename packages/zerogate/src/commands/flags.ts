/** Flags that several commands share. */
import { resolve } from "node:path";
import { type BosRule, bosRules, InputError, type OutputBias } from "@zerogate/core";
import { computeNames, engineNames, isEnginePath, storageNames, type TrainConfig } from "@zerogate/run-config";
import type { PromptFlags } from "@zerogate/trainer/command";

/** A number from a flag's text; what is wrong with it is added to `problems`. */
export function numberFlag(
  name: string,
  text: string | undefined,
  fallback: number,
  range: { readonly min: number; readonly max: number; readonly whole?: boolean },
  problems: string[],
): number {
  if (text === undefined) return fallback;
  const { min, max, whole = false } = range;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  problems.push(
    `${name} is "${text}", expected a ${whole ? "whole " : ""}number of at least ${min} and at most ${max}`,
  );
  return fallback;
}

/** `--output-bias` of commands that read adapters; undefined if it is not given. */
export function outputBiasFlag({ outputBias }: { readonly outputBias?: string }): OutputBias | undefined {
  if (outputBias === undefined || outputBias === "once" || outputBias === "twice") return outputBias;
  throw new InputError("Cannot use the adapter", `--output-bias is "${outputBias}", expected once or twice`);
}

/** `--template` and `--bos` of commands that read adapters. */
export function promptFlags({ template, bos }: { readonly template?: string; readonly bos?: string }): PromptFlags {
  const problems: string[] = [];
  const rule = choiceFlag<BosRule>("--bos", bos, bosRules, problems);
  if (problems.length > 0) throw new InputError("Cannot write prompts", problems);
  return { template, bos: rule };
}

export interface EngineFlags {
  readonly engine?: string;
  readonly compute?: string;
  readonly storage?: string;
  readonly devices?: string;
}

/** Engine, compute, storage and devices of a command; the defaults, and how weights are packed, are those of training. */
export function engineFlags(
  flags: EngineFlags,
): Pick<TrainConfig, "engine" | "compute" | "storage" | "packing" | "devices"> {
  const { engine = "auto", compute = "auto", storage = "as-is", devices } = flags;
  const [knownEngine, knownCompute, knownStorage] = [
    isEnginePath(engine) ? resolve(engine) : engineNames.find((name) => name === engine),
    computeNames.find((name) => name === compute),
    storageNames.find((name) => name === storage),
  ];
  const problems: string[] = [];
  if (!knownEngine)
    problems.push(`--engine is "${engine}", expected one of ${engineNames.join(", ")}, or the path of a module`);
  if (!knownCompute) problems.push(`--compute is "${compute}", expected one of ${computeNames.join(", ")}`);
  if (!knownStorage) problems.push(`--storage is "${storage}", expected one of ${storageNames.join(", ")}`);
  const gpus = devices?.split(",").map((text) => (/^\d+$/.test(text) ? Number(text) : undefined));
  if (gpus?.includes(undefined)) problems.push(`--devices is "${devices}", expected numbers of GPUs, as 0,1,2`);
  if (problems.length > 0 || !knownEngine || !knownCompute || !knownStorage) {
    throw new InputError("Cannot choose the engine", problems);
  }
  const named = gpus && { devices: gpus.filter((gpu) => gpu !== undefined) };
  return { engine: knownEngine, compute: knownCompute, storage: knownStorage, packing: "auto", ...named };
}

/** One of a few words; what else it is goes to `problems`. */
export function choiceFlag<T extends string>(
  name: string,
  text: string | undefined,
  choices: readonly T[],
  problems: string[],
): T | undefined {
  if (text === undefined) return undefined;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) problems.push(`${name} is "${text}", expected one of ${choices.join(", ")}`);
  return found;
}
