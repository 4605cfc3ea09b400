/** The tiny tokenizer with parts of a stranger. */
import { createTokenizer } from "../src/tokenizer.ts";
import { tinyTokenizerFiles, tinyTokenizerJson } from "./tiny_tokenizer.ts";

const json = tinyTokenizerJson();

export const hostile = (part: object) => {
  const text = JSON.stringify({ ...json, post_processor: null, ...part });
  return createTokenizer({ ...tinyTokenizerFiles(), tokenizerJson: text.replaceAll('"Regex"', '"\\u0052egex"') });
};
export const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });

export const takesTooLong =
  /the regular expression "\(z.*!" of tokenizer.json takes too long on a text of 6[01] characters/;
