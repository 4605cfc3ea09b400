import { WORDS } from "../space_cut.ts";

/** Regular expressions of widely used tokenizers. Each reads a text in one go, so it needs no clock. */
const contractions = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const ends = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const marks = String.raw` ?[^\s\p{L}\p{N}]+`;
const [upper, lower] = [String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`];
const start = String.raw`[^\r\n\p{L}\p{N}]?`;
const maybe = `${contractions}?`;

export const knownExpressions: ReadonlySet<string> = new Set([
  WORDS,
  // GPT-2
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|${marks}|\s+(?!\S)|\s+`,
  // Llama 3
  String.raw`${contractions}|${start}\p{L}+|\p{N}{1,3}|${marks}[\r\n]*|${ends}`,
  // cl100k; if it allows no way back, there is none
  String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
  // Qwen 2
  String.raw`${contractions}|${start}\p{L}+|\p{N}|${marks}[\r\n]*|${ends}`,
  // o200k
  String.raw`${start}${upper}*${lower}+${maybe}|${start}${upper}+${lower}*${maybe}|\p{N}{1,3}|${marks}[\r\n/]*|${ends}`,
  // Mistral's Tekken
  String.raw`${start}${upper}*${lower}+|${start}${upper}+${lower}*|\p{N}|${marks}[\r\n/]*|${ends}`,
  // DeepSeek
  String.raw`\p{N}{1,3}`,
  String.raw`[一-龥぀-ゟ゠-ヿ]+`,
  // Falcon
  "[0-9][0-9][0-9]",
  " ",
  String.raw`\d`,
  String.raw`\s+`,
]);
