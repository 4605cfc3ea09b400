/** How answers are generated, as flags and the model's generation_config.json say. */
import { InputError, type Penalties, type SamplingOptions } from "@zerogate/core";
import type { GenerationConfig, UsualSampling } from "@zerogate/core/node";
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
  readonly minP?: string;
  readonly repetitionPenalty?: string;
  readonly presencePenalty?: string;
  readonly frequencyPenalty?: string;
  readonly logitBias?: readonly string[];
  readonly seed?: string;
  readonly samplingDefaults?: boolean;
}

/** Options of an answer, all of them settled but the texts that end it. */
export interface AnswerLimits extends Required<SamplingOptions> {
  readonly maxNewTokens: number;
  /** Most tokens of prompt and answer, if nothing limits the answer alone. */
  readonly maxTokens: number | undefined;
  readonly scale: number;
}

/** How to generate, from flags and, if they say nothing, from generation_config.json: its sampling on request only. All problems at once. */
export function samplingFlags(
  flags: SamplingFlags,
  { maxNewTokens, maxLength, sampling, unfollowed = [] }: GenerationConfig,
): AnswerLimits {
  const problems: string[] = [];
  if (flags.samplingDefaults && !sampling)
    problems.push("--sampling-defaults: generation_config.json asks for no sampling, give --temperature instead");
  if (flags.samplingDefaults && unfollowed.length > 0) {
    const found = `generation_config.json asks for ${unfollowed.join(", ")}, which is not done here`;
    problems.push(`--sampling-defaults: ${found}, give --temperature and the others instead`);
  }
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
    ...penaltyFlags(flags, usual, problems),
    seed: numberFlag("--seed", flags.seed, 0, { min: 0, max: 2 ** 32 - 1, whole: true }, problems),
  };
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
  return options;
}

/** The largest penalty that is taken; they are added to logits, or logits are multiplied by them. */
const MAX_PENALTY = 100;

/** What changes logits before a token is chosen. */
function penaltyFlags(
  flags: SamplingFlags,
  usual: UsualSampling | undefined,
  problems: string[],
): Required<Penalties> & { readonly minP: number } {
  const added = { min: -MAX_PENALTY, max: MAX_PENALTY };
  return {
    minP: numberFlag("--min-p", flags.minP, usual?.minP ?? 0, { min: 0, max: 1 }, problems),
    repetitionPenalty: numberFlag(
      "--repetition-penalty",
      flags.repetitionPenalty,
      usual?.repetitionPenalty ?? 1,
      { min: 1 / MAX_PENALTY, max: MAX_PENALTY },
      problems,
    ),
    presencePenalty: numberFlag("--presence-penalty", flags.presencePenalty, 0, added, problems),
    frequencyPenalty: numberFlag("--frequency-penalty", flags.frequencyPenalty, 0, added, problems),
    logitBias: logitBiasFlag(flags.logitBias ?? [], problems),
  };
}

/** Reads `ID=BIAS`, once for each token. */
function logitBiasFlag(texts: readonly string[], problems: string[]): Readonly<Record<number, number>> {
  const biases: Record<number, number> = {};
  for (const text of texts) {
    const [, id, bias] = /^(\d+)=([-+]?[\d.]+)$/.exec(text) ?? [];
    if (id === undefined || !(Math.abs(Number(bias)) <= MAX_PENALTY))
      problems.push(
        `--logit-bias is "${text}", expected TOKEN=BIAS, such as 42=-100, with a bias up to ${MAX_PENALTY}`,
      );
    else if (Object.hasOwn(biases, Number(id))) problems.push(`--logit-bias names token ${id} twice, once is needed`);
    else biases[Number(id)] = Number(bias);
  }
  return biases;
}
