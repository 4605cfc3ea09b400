/** `generation_config.json`: how the makers of a model mean it to be asked. Absent, its values are absent. */
import { InputError } from "../errors.ts";
import { isJsonObject } from "../formats/json_fields.ts";
import { baseForm } from "./base_forms.ts";

/** What generation_config.json says of how to generate. */
export interface GenerationConfig {
  /** Tokens that end a text; undefined if the file names none. */
  readonly eosTokenIds: readonly number[] | undefined;
  /** As the file says; what goes in front of a text is the tokenizer's to say. */
  readonly bosTokenId: number | undefined;
  /** As the file says; sequences are packed, and nothing is padded. */
  readonly padTokenId: number | undefined;
  /** Most new tokens of an answer. */
  readonly maxNewTokens: number | undefined;
  /** Most tokens of prompt and answer. */
  readonly maxLength: number | undefined;
  /** How to sample; undefined if the file asks for the most likely token, or says nothing. */
  readonly sampling: UsualSampling | undefined;
  /** What it asks for that changes answers and is not done here. @default nothing */
  readonly unfollowed?: readonly string[];
}

/** How a model is sampled. */
export interface UsualSampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  /** @default 0 */
  readonly minP?: number;
  /** Without `do_sample` it changes what the most likely token is. @default 1 */
  readonly repetitionPenalty?: number;
}

/** Keys that change answers, and what they are if they change nothing. */
const UNFOLLOWED: Readonly<Record<string, unknown>> = {
  num_beams: 1,
  no_repeat_ngram_size: 0,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  encoder_repetition_penalty: 1,
  penalty_alpha: 0,
  bad_words_ids: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  sequence_bias: null,
  forced_bos_token_id: null,
  min_length: 0,
  min_new_tokens: 0,
};

/** Throws an `InputError` on a file that is damaged or holds something else than numbers where numbers are needed. */
export async function readGenerationConfig(folder: string): Promise<GenerationConfig> {
  const { json, path } = await (await baseForm(folder)).readGeneration();
  return parseGenerationConfig(json, path);
}

/** An id of −1 means none, as Python programs write it; transformers samples at temperature 1 of the 50 likeliest if a file only says `do_sample`. */
export function parseGenerationConfig(json: unknown, path: string): GenerationConfig {
  if (!isJsonObject(json)) throw new InputError(`Cannot use ${path}`, "it is not an object");
  const problems: string[] = [];
  const number = (name: string, min: number, isWhole = false): number | undefined => {
    const value = json[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && value >= min && (!isWhole || Number.isInteger(value))) return value;
    problems.push(
      `${name} is ${JSON.stringify(value)}, a ${isWhole ? "whole " : ""}number of at least ${min} is needed`,
    );
    return undefined;
  };
  const id = (name: string) => {
    const value = number(name, -1, true);
    return value === -1 ? undefined : value;
  };
  const [temperature, topP, topK] = [number("temperature", 0), number("top_p", 0), number("top_k", 0, true)];
  const [minP, penalty] = [number("min_p", 0), number("repetition_penalty", 0)];
  const more = {
    ...(minP && { minP }),
    ...(penalty !== undefined && penalty !== 1 && { repetitionPenalty: penalty }),
  };
  const drawn =
    json["do_sample"] === true
      ? { temperature: temperature ?? 1, topP: topP ?? 1, topK: topK ?? 50 }
      : { temperature: 0, topP: 1, topK: 0 };
  const unfollowed = Object.entries(UNFOLLOWED)
    .filter(([key, none]) => (json[key] ?? none) !== none)
    .map(([key]) => key);
  const config: GenerationConfig = {
    eosTokenIds: endIds(json["eos_token_id"], problems),
    bosTokenId: id("bos_token_id"),
    padTokenId: id("pad_token_id"),
    maxNewTokens: number("max_new_tokens", 1, true),
    maxLength: number("max_length", 1, true),
    sampling: json["do_sample"] === true || more.repetitionPenalty ? { ...drawn, ...more } : undefined,
    ...(unfollowed.length > 0 && { unfollowed }),
  };
  if (problems.length > 0) throw new InputError(`Cannot use ${path}`, problems);
  return config;
}

function endIds(value: unknown, problems: string[]): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (ids.every((id) => Number.isInteger(id) && (id as number) >= -1))
    return (ids as number[]).filter((id) => id !== -1);
  problems.push(`eos_token_id is ${JSON.stringify(value)}, an id or a list of ids is needed`);
  return undefined;
}
