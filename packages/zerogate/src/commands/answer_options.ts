/** How answers are generated, as flags and the model's generation_config.json say. */
import { InputError, type SamplingOptions } from "@zerogate/core";
import type { GenerationConfig } from "@zerogate/core/node";
import { MAX_TEMPERATURE, MAX_TOKENS, MAX_VOCABULARY } from "@zerogate/run-config";
import { numberFlag } from "./flags.ts";

/** Longest answer if neither flag nor generation_config.json says one. */
const DEFAULT_NEW_TOKENS = 128;

export interface SamplingFlags {
  readonly maxNewTokens?: string;
  readonly scale?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly topK?: string;
  readonly seed?: string;
  readonly samplingDefaults?: boolean;
}

/** Options of an answer, all of them settled but the texts that end it. */
export interface AnswerLimits extends Required<Pick<SamplingOptions, "temperature" | "topK" | "topP" | "seed">> {
  readonly maxNewTokens: number;
  /** Most tokens of prompt and answer, if nothing limits the answer alone. */
  readonly maxTokens: number | undefined;
  readonly scale: number;
}

/** How to generate, from flags and, if they say nothing, from generation_config.json: its sampling on request only. All problems at once. */
export function samplingFlags(
  flags: SamplingFlags,
  { maxNewTokens, maxLength, sampling }: GenerationConfig,
): AnswerLimits {
  const problems: string[] = [];
  if (flags.samplingDefaults && !sampling)
    problems.push("--sampling-defaults: generation_config.json asks for no sampling, give --temperature instead");
  const usual = flags.samplingDefaults ? sampling : undefined;
  const options = {
    maxNewTokens: numberFlag(
      "--max-new-tokens",
      flags.maxNewTokens,
      maxNewTokens ?? DEFAULT_NEW_TOKENS,
      { min: 1, max: MAX_TOKENS, whole: true },
      problems,
    ),
    maxTokens: flags.maxNewTokens === undefined && maxNewTokens === undefined ? maxLength : undefined,
    scale: numberFlag("--scale", flags.scale, 1, { min: 0, max: 1 }, problems),
    temperature: numberFlag(
      "--temperature",
      flags.temperature,
      usual?.temperature ?? 0,
      { min: 0, max: MAX_TEMPERATURE },
      problems,
    ),
    topP: numberFlag("--top-p", flags.topP, usual?.topP ?? 1, { min: 0, max: 1 }, problems),
    topK: numberFlag("--top-k", flags.topK, usual?.topK ?? 0, { min: 0, max: MAX_VOCABULARY, whole: true }, problems),
    seed: numberFlag("--seed", flags.seed, 0, { min: 0, max: 2 ** 32 - 1, whole: true }, problems),
  };
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
  return options;
}
