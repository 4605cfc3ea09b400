/**
 * A tokenizer.json for a byte-level BPE whose vocabulary is in a GGUF file. How it cuts texts into words the file says by a name
 * alone: names are read whose tokenizer.json is known, from what llama.cpp's `llama-vocab.cpp` quotes of it and from transformers 5.18
 * (`integrations/gguf/gguf_tokenizer_mapping.py`, `models/qwen2/tokenization_qwen2.py`).
 */
import type { Fail } from "../tokenizer_parts.ts";
import { type GgufVocabulary, tokenTypes } from "./vocabulary.ts";

/** What goes with a name. */
export interface PreTokenizer {
  readonly normalizer?: object;
  readonly steps: readonly object[];
  /** A word that is a piece is that piece, whatever merges there are. */
  readonly ignoresMerges?: boolean;
  readonly addsBos?: boolean;
}

const bytes = (useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
/** Turns the letters that stand for bytes back into text. */
export const byteDecoder: object = { ...bytes(false), add_prefix_space: true };
const cut = (expression: string) => [
  { type: "Split", pattern: { Regex: expression }, behavior: "Isolated", invert: false },
  bytes(false),
];

const contractions = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const ends = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const start = String.raw`[^\r\n\p{L}\p{N}]?`;
const marks = String.raw` ?[^\s\p{L}\p{N}]+`;
const [upper, lower] = [String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`];

const gpt2: PreTokenizer = { steps: [bytes(true)] };
const digits: PreTokenizer = { steps: [{ type: "Digits", individual_digits: true }, bytes(true)] };
const llama3: PreTokenizer = {
  steps: cut(String.raw`${contractions}|${start}\p{L}+|\p{N}{1,3}|${marks}[\r\n]*|${ends}`),
  ignoresMerges: true,
  addsBos: true,
};
const qwen2: PreTokenizer = {
  normalizer: { type: "NFC" },
  steps: cut(String.raw`${contractions}|${start}\p{L}+|\p{N}|${marks}[\r\n]*|${ends}`),
};
const tekken: PreTokenizer = {
  steps: cut(String.raw`${start}${upper}*${lower}+|${start}${upper}+${lower}*|\p{N}|${marks}[\r\n/]*|${ends}`),
  ignoresMerges: true,
  addsBos: true,
};

/** By `tokenizer.ggml.pre`. */
export const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  ["gpt-2", gpt2],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["llama-bpe", llama3],
  ["qwen2", qwen2],
  ["smollm", digits],
  ["starcoder", digits],
  ["refact", digits],
  ["tekken", tekken],
]);

/** What transformers would have in tokenizer.json. */
export function byteLevelTokenizer(vocabulary: GgufVocabulary, fail: Fail): object {
  const { tokens, types, merges, pre } = vocabulary;
  const found = pre === undefined ? undefined : preTokenizers.get(pre);
  if (found === undefined) {
    const known = [...preTokenizers.keys()].join(", ");
    throw fail(
      `tokenizer.ggml.pre is ${pre === undefined ? "missing" : JSON.stringify(pre)}, which says how texts are cut, read are ${known}: name the folder of the tokenizer with --tokenizer`,
    );
  }
  if (merges.length === 0)
    throw fail("tokenizer.ggml.merges is missing: name the folder of the tokenizer with --tokenizer");
  const added = tokens.flatMap((content, id) => {
    const isSpecial = types[id] === tokenTypes.control || types[id] === tokenTypes.unknown;
    return isSpecial || types[id] === tokenTypes.userDefined
      ? [{ id, content, special: isSpecial, normalized: false }]
      : [];
  });
  const { normalizer = null, steps, ignoresMerges = false, addsBos = false } = found;
  return {
    version: "1.0",
    added_tokens: added,
    normalizer,
    pre_tokenizer: { type: "Sequence", pretokenizers: steps },
    post_processor: around(vocabulary, addsBos),
    decoder: byteDecoder,
    model: {
      type: "BPE",
      ignore_merges: ignoresMerges,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Puts BOS in front and EOS behind, if the file says so. */
function around({ tokens, idOf, flag }: GgufVocabulary, addsBos: boolean): object | null {
  const ids = [
    (flag("add_bos_token") ?? addsBos) ? idOf("bos") : undefined,
    flag("add_eos_token") === true ? idOf("eos") : undefined,
  ];
  if (ids.every((id) => id === undefined)) return null;
  const [front = [], back = []] = ids.map((id) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id], type_id: 0 } }],
  );
  const named = ids.flatMap((id) =>
    id === undefined ? [] : [[tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }] as const],
  );
  return {
    type: "TemplateProcessing",
    single: [...front, { Sequence: { id: "A", type_id: 0 } }, ...back],
    pair: [],
    special_tokens: Object.fromEntries(named),
  };
}
