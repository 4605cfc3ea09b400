/** Tokens that the files beside a vocabulary add to it: tokenizer_config.json, and added_tokens.json of older folders. */
import type { AddedToken } from "./tokenizer_json.ts";
import type { Fail, TokenizerSettings } from "./tokenizer_parts.ts";

/** Four times the largest vocabulary in use; an id is an index into an array, so it must not be any number. */
const MAX_ID = 1_048_576;

/** By id, ascending; what tokenizer_config.json says of a token counts, and a token that only `added_tokens.json` has is not special. */
export function addedTokens({ config, added }: TokenizerSettings, fail: Fail): AddedToken[] {
  const tokens = new Map<number, AddedToken>();
  const add = (id: unknown, token: AddedToken | undefined, file: string) => {
    const number = Number(id);
    if (!token || !Number.isInteger(number) || number < 0 || number >= MAX_ID) {
      throw fail(`${file} adds a token ${JSON.stringify(id)}, an id below ${MAX_ID} and its text are needed`);
    }
    tokens.set(number, token);
  };
  for (const [content, id] of Object.entries(added)) {
    add(id, content === "" ? undefined : { id: Number(id), content, normalized: false }, "added_tokens.json");
  }
  const decoder = config["added_tokens_decoder"] ?? {};
  if (typeof decoder !== "object") throw fail("tokenizer_config.json: added_tokens_decoder is no object of tokens");
  for (const [id, token] of Object.entries(decoder)) {
    add(id, tokenOf(Number(id), token), "tokenizer_config.json");
  }
  return [...tokens.values()].toSorted((a, b) => a.id - b.id);
}

function tokenOf(id: number, token: unknown): AddedToken | undefined {
  if (typeof token !== "object" || token === null || !("content" in token)) return undefined;
  const { content, special, single_word, lstrip, rstrip } = token as Readonly<Record<string, unknown>>;
  if (typeof content !== "string" || content === "") return undefined;
  const is = (flag: unknown) => flag === true;
  return {
    id,
    content,
    special: is(special),
    single_word: is(single_word),
    lstrip: is(lstrip),
    rstrip: is(rstrip),
    normalized: false,
  };
}
