/**
 * A faster way to the same token ids for LLaMA's tokenizers.
 *
 * They have no pre-tokenizer: byte-pair encoding runs over the whole text as one word, which cannot be cached and costs
 * O(n log n). But if no piece of the vocabulary holds a "▁" (the space) after any other character, no merge can ever
 * cross from a character to a "▁" behind it, so the text may be cut there and the words cached. Llama-2: 2.6 times as fast.
 */
import { mergedPiece, type TokenizerJson } from "./tokenizer_json.ts";

/** Runs of spaces each with the word behind them; as the parts, not as the gaps, so that no character is lost. */
export const WORDS = "▁*[^▁]+|▁+";
/** A piece of a vocabulary that this matches reaches over a cut. */
export const SPACE_INSIDE: RegExp = /[^▁]▁/u;

/** Adds the cut as a pre-tokenizer if it is exact; any other tokenizer is returned as it is. */
export function cutAtSpaces(json: TokenizerJson): TokenizerJson {
  const {
    type,
    vocab,
    merges,
    end_of_word_suffix,
    continuing_subword_prefix,
    continuing_subword_suffix,
    ignore_merges,
    fuse_unk,
  } = json.model;
  const isPlainBpe =
    type === "BPE" &&
    !Array.isArray(vocab) &&
    merges !== undefined &&
    !end_of_word_suffix &&
    !continuing_subword_prefix &&
    !continuing_subword_suffix &&
    ignore_merges !== true; // that one looks the whole text up in the vocabulary first
  if (json.pre_tokenizer !== null || !isPlainBpe) return json;
  if (fuse_unk === true && !Object.hasOwn(vocab, "▁")) return json; // unknown characters join across it
  if ([...Object.keys(vocab), ...merges.map(mergedPiece)].some((piece) => SPACE_INSIDE.test(piece))) return json;
  return { ...json, pre_tokenizer: { type: "Split", pattern: { Regex: WORDS }, behavior: "Isolated", invert: true } };
}

/** Words kept per tokenizer, some 10 MB; those of the first records are the frequent ones, so none is thrown out. */
const MAX_WORDS = 50_000;

export interface WordCache {
  get(word: string): readonly string[] | undefined;
  put(word: string, pieces: readonly string[]): void;
  clear(): void;
}

/**
 * Replaces the model's cache of encoded words (a public field of the library's BPE) by a plain map. The library's own is
 * least-recently-used and moves a word to the end at each hit, which on Alpaca costs more time than it saves: 6.0 s against 3.6 s.
 */
export function keepWords(model: { cache?: WordCache }): void {
  if (model.cache === undefined) return;
  const words = new Map<string, readonly string[]>();
  model.cache = {
    get: (word) => words.get(word),
    put(word, pieces) {
      if (words.size < MAX_WORDS) words.set(word, pieces);
    },
    clear() {
      words.clear();
    },
  };
}
