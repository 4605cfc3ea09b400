/** What a tokenizer is made of, whichever file it comes from. */
import type { InputError } from "@zerogate/core";
import { checkNesting, isCutOff } from "@zerogate/core/formats";
import type { Pipeline } from "./pipeline/pipeline.ts";
import type { AddedToken } from "./tokenizer_json.ts";

export interface TokenizerParts {
  readonly pipeline: Pipeline;
  /** Makes the same for texts that hold no special token, whatever they spell, but these. */
  readonly withoutSpecial: (others: readonly AddedToken[]) => Pipeline;
  readonly special: readonly AddedToken[];
  /** Whether a text may spell a special token only once it is normalised. */
  readonly normalizesSpecial: boolean;
  /** One more than the largest id. */
  readonly vocabularySize: number;
  /** The same without added tokens that are no pieces of the model. */
  readonly pieces: number;
  /** Tokens that the vocabulary itself names, if the files beside it name none. */
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
}

/** A special token that is spelled with U+10FFFF in front, which no text holds. */
export const markedToken = (token: AddedToken): AddedToken => ({ ...token, content: `\u{10FFFF}${token.content}` });

/** What the files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json, added_tokens.json. */
export interface TokenizerSettings {
  readonly config: Readonly<Record<string, unknown>>;
  readonly map: Readonly<Record<string, unknown>>;
  readonly added: Readonly<Record<string, unknown>>;
}

/** Makes the error about a tokenizer's folder. */
export type Fail = (problems: string | readonly string[], cause?: unknown) => InputError;

/** The token that one of the files names, by its text or by an object that holds it. */
export function namedToken({ config, map }: TokenizerSettings, name: "bos_token" | "eos_token"): string | undefined {
  return tokenText(config[name]) ?? tokenText(map[name]);
}

/**
 * What goes around a text if the vocabulary's file does not say it: BOS in front unless `add_bos_token` is false, EOS behind it if
 * `add_eos_token` is true.
 */
export function idsAround(
  settings: TokenizerSettings,
  idOf: (token: string) => number | undefined,
  own: Pick<TokenizerParts, "bosToken" | "eosToken">,
): { readonly front: readonly number[]; readonly back: readonly number[] } {
  const { add_bos_token: addsBos = true, add_eos_token: addsEos = false } = settings.config;
  const ids = (token: string | undefined) => {
    const id = token === undefined ? undefined : idOf(token);
    return id === undefined ? [] : [id];
  };
  return {
    front: addsBos === true ? ids(namedToken(settings, "bos_token") ?? own.bosToken) : [],
    back: addsEos === true ? ids(namedToken(settings, "eos_token") ?? own.eosToken) : [],
  };
}

/** Returns the text of a token that is named by it, or by an object that holds it. */
export function tokenText(token: unknown): string | undefined {
  const text = typeof token === "object" && token !== null && "content" in token ? token.content : token;
  return typeof text === "string" && text !== "" ? text : undefined;
}

/** Reads one of a tokenizer's JSON files. Throws what `fail` makes unless it is an object. */
export function parseObject(text: string, name: string, fail: Fail): Record<string, unknown> {
  let value: unknown;
  try {
    checkNesting(text);
    value = JSON.parse(text);
  } catch (cause) {
    const problem = isCutOff(text) ? "it ends in the middle: download or copy it again" : (cause as Error).message;
    throw fail(`${name} is not JSON (${problem})`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fail(`${name} is not an object`);
  return value as Record<string, unknown>;
}
