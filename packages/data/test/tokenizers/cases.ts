/** Forty tokenizers of the kinds in use, built from a few words so that each fits on a page. */
const letters = (text: string) => Array.from(text);
const words = [
  "the",
  "ing",
  "item",
  "Item",
  "tem",
  "Name",
  "and",
  "ello",
  "world",
  "text",
  "12",
  "33",
  "qu",
  "tok",
  "foo",
];
const plain =
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'\"-_:;/()[]{}<>#@$%&*+=~^|\\`éàñöΑΣσПривет日本語中한국😀٣½";

type Json = Readonly<Record<string, unknown>>;

/** Merges that build each word from its left. */
function mergesOf(list: readonly string[]): [string, string][] {
  const seen = new Set<string>();
  return list.flatMap((word) => {
    const [first = "", ...rest] = letters(word);
    let built = first;
    return rest.flatMap((letter): [string, string][] => {
      const pair: [string, string] = [built, letter];
      built += letter;
      if (seen.has(built)) return [];
      seen.add(built);
      return [pair];
    });
  });
}

const numbered = (pieces: readonly string[]) =>
  Object.fromEntries([...new Set(pieces)].map((piece, id) => [piece, id]));

function bpe(alphabet: readonly string[], list: readonly string[], more: Json = {}): Json {
  const merges = mergesOf(list);
  const vocab = numbered(["<unk>", "<s>", "</s>", ...alphabet, ...merges.map((pair) => pair.join(""))]);
  return {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    fuse_unk: false,
    byte_fallback: false,
    ...more,
    vocab,
    merges,
  };
}

const byteTokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** The letters that stand for bytes, as GPT-2 has them. */
function byteLetters(): string[] {
  const own = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(own(byte) ? byte : next++));
}

const spaced = (space: string) => [...words, ...words.map((word) => space + word), space.repeat(2), space.repeat(4)];
const byteBpe = (more: Json = {}) => bpe(byteLetters(), spaced("Ġ"), { unk_token: null, ...more });
const pieceBpe = (more: Json = {}) => bpe([...letters(plain), "▁", "\n"], spaced("▁"), more);
const fallbackBpe = (more: Json = {}) =>
  bpe([...byteTokens, ...letters(plain), "▁"], spaced("▁"), { byte_fallback: true, fuse_unk: true, ...more });

function unigram(more: Json = {}): Json {
  const pieces = [...letters(plain), "▁", ...spaced("▁"), "▁th", "in", "ng", "em"];
  const scored = [...new Set(pieces)].map((piece, i) => [piece, -2 - (i % 17) / 3 - letters(piece).length / 7]);
  return {
    type: "Unigram",
    unk_id: 0,
    byte_fallback: false,
    vocab: [["<unk>", 0], ["<s>", 0], ["</s>", 0], ...scored],
    ...more,
  };
}

function wordPiece(more: Json = {}): Json {
  const starts = [...letters(plain.toLowerCase()), ...words.map((word) => word.toLowerCase())];
  const vocab = numbered(["<unk>", "<s>", "</s>", ...starts, ...starts.map((piece) => `##${piece}`)]);
  return {
    type: "WordPiece",
    unk_token: "<unk>",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab,
    ...more,
  };
}

const token = (id: number, content: string, more: Json = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});
const specials = [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>")];

/** Added tokens that are no pieces have the ids behind the vocabulary. */
function added(model: Json, ...list: { readonly content: string; readonly [key: string]: unknown }[]): Json[] {
  const vocab = model["vocab"] as Readonly<Record<string, number>>;
  let next = Object.keys(vocab).length;
  return [...specials, ...list.map((one) => token(vocab[one.content] ?? next++, one.content, one))];
}

export interface TokenizerCase {
  readonly name: string;
  readonly json: Json;
}

const of = (name: string, model: Json, parts: Json = {}): TokenizerCase => ({
  name,
  json: {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials,
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...parts,
    model,
  },
});

const sequence = (...pretokenizers: Json[]) => ({ type: "Sequence", pretokenizers });
const normal = (...normalizers: Json[]) => ({ type: "Sequence", normalizers });
const byteLevel = (more: Json = {}) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
  ...more,
});
const split = (regex: string, behavior = "Isolated", invert = false) => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior,
  invert,
});
const metaspace = (more: Json = {}) => ({ type: "Metaspace", replacement: "▁", prepend_scheme: "always", ...more });
const toMeta = { type: "Replace", pattern: { String: " " }, content: "▁" };
const template = (front: string[], back: string[] = []) => ({
  type: "TemplateProcessing",
  single: [...front.map(around), { Sequence: { id: "A", type_id: 0 } }, ...back.map(around)],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: Object.fromEntries(
    [...front, ...back].map((id) => [id, { id, ids: [id === "<s>" ? 1 : 2], tokens: [id] }]),
  ),
});
function around(id: string) {
  return { SpecialToken: { id, type_id: 0 } };
}
const ends = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|${ends}`;
const o200kLetters = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const o200k = String.raw`${o200kLetters}*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|${o200kLetters}+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${ends}`;

export const cases: readonly TokenizerCase[] = [
  of("GPT-2", byteBpe(), {
    pre_tokenizer: byteLevel(),
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
  }),
  of("GPT-2 with a space in front", byteBpe(), { pre_tokenizer: byteLevel({ add_prefix_space: true }) }),
  of("bytes without words", byteBpe(), { pre_tokenizer: byteLevel({ use_regex: false }) }),
  of("RoBERTa", byteBpe(), {
    pre_tokenizer: byteLevel({ add_prefix_space: true }),
    post_processor: {
      type: "RobertaProcessing",
      sep: ["</s>", 2],
      cls: ["<s>", 1],
      trim_offsets: true,
      add_prefix_space: true,
    },
  }),
  of("Llama 3", byteBpe({ ignore_merges: true }), {
    pre_tokenizer: sequence(split(llama3), byteLevel({ use_regex: false })),
    post_processor: { type: "Sequence", processors: [byteLevel(), template(["<s>"])] },
  }),
  of("Qwen 2", byteBpe(), {
    normalizer: { type: "NFC" },
    pre_tokenizer: sequence(split(llama3.replace("{1,3}", "")), byteLevel({ use_regex: false })),
  }),
  of("o200k", byteBpe(), { pre_tokenizer: sequence(split(o200k), byteLevel({ use_regex: false })) }),
  of("SmolLM", byteBpe(), { pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel()) }),
  of("Falcon", byteBpe(), {
    pre_tokenizer: sequence(
      { type: "Punctuation", behavior: "Contiguous" },
      byteLevel(),
      { type: "Digits", individual_digits: false },
      split("[0-9][0-9][0-9]"),
    ),
  }),
  of("DeepSeek", byteBpe(), {
    pre_tokenizer: sequence(split(String.raw`\p{N}{1,3}`), split("[一-龥぀-ゟ゠-ヿ]+"), byteLevel()),
  }),
  of("Llama 2", fallbackBpe(), {
    normalizer: normal({ type: "Prepend", prepend: "▁" }, toMeta),
    post_processor: template(["<s>"]),
  }),
  of("Llama 2, unknown apart", fallbackBpe({ fuse_unk: false }), {
    normalizer: normal({ type: "Prepend", prepend: "▁" }, toMeta),
  }),
  of("Gemma", fallbackBpe(), {
    normalizer: toMeta,
    pre_tokenizer: { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
    post_processor: template(["<s>"]),
  }),
  of("Mistral, Metaspace in one", fallbackBpe(), {
    pre_tokenizer: metaspace({ prepend_scheme: "first", split: false }),
    post_processor: template(["<s>"]),
  }),
  of("Metaspace by default", pieceBpe(), { pre_tokenizer: metaspace() }),
  of("Metaspace first", pieceBpe({ fuse_unk: true }), {
    pre_tokenizer: metaspace({ prepend_scheme: "first", split: true }),
  }),
  of("Metaspace never", pieceBpe(), { pre_tokenizer: metaspace({ prepend_scheme: "never", split: true }) }),
  of("Metaspace always in one", pieceBpe(), { pre_tokenizer: metaspace({ split: false }) }),
  of("Metaspace behind spaces", pieceBpe(), { pre_tokenizer: sequence({ type: "WhitespaceSplit" }, metaspace()) }),
  of("Metaspace first behind digits", pieceBpe(), {
    pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, metaspace({ prepend_scheme: "first" })),
  }),
  of("Metaspace first behind a change", pieceBpe(), {
    normalizer: normal({ type: "Strip", strip_left: true, strip_right: true }, { type: "Lowercase" }),
    pre_tokenizer: metaspace({ prepend_scheme: "first" }),
  }),
  of("T5", unigram(), { pre_tokenizer: metaspace(), post_processor: template([], ["</s>"]) }),
  of("Unigram in one", unigram(), {
    normalizer: normal({ type: "NFKC" }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }),
    pre_tokenizer: metaspace({ split: false }),
  }),
  of("BERT", wordPiece(), {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] },
  }),
  of("BERT, cased", wordPiece(), {
    normalizer: {
      type: "BertNormalizer",
      clean_text: false,
      handle_chinese_chars: false,
      strip_accents: true,
      lowercase: false,
    },
    pre_tokenizer: { type: "Whitespace" },
  }),
  of("words", pieceBpe({ unk_token: null }), {
    normalizer: normal({ type: "NFD" }, { type: "StripAccents" }),
    pre_tokenizer: { type: "Whitespace" },
  }),
  of("words and punctuation", pieceBpe({ end_of_word_suffix: null }), {
    normalizer: { type: "NFKD" },
    pre_tokenizer: sequence({ type: "WhitespaceSplit" }, { type: "Punctuation", behavior: "MergedWithPrevious" }),
  }),
  of("punctuation with the next", pieceBpe(), {
    pre_tokenizer: sequence(
      { type: "Punctuation", behavior: "MergedWithNext" },
      { type: "CharDelimiterSplit", delimiter: "e" },
    ),
  }),
  of("punctuation taken away", pieceBpe(), {
    pre_tokenizer: sequence({ type: "Punctuation", behavior: "Removed" }, { type: "FixedLength", length: 5 }),
  }),
  of("splits that keep what is between", pieceBpe(), {
    pre_tokenizer: sequence(split(String.raw`\w+`, "Removed", true), split("[aeiou]", "MergedWithPrevious")),
  }),
  of("splits at what may be empty", pieceBpe(), {
    pre_tokenizer: sequence(split("[a-m]*", "MergedWithNext"), split("[0-9]", "Contiguous", true)),
  }),
  of("a text replaced by what looks like a reference", pieceBpe(), {
    normalizer: normal(
      { type: "Replace", pattern: { Regex: "(a)" }, content: "$1$&" },
      { type: "Replace", pattern: { String: "." }, content: "" },
    ),
  }),
  of(
    "a word's end",
    (() => {
      const pieces = [...letters(plain), ...letters(plain).map((letter) => `${letter}</w>`)];
      const merges = [
        ["t", "h"],
        ["th", "e</w>"],
        ["i", "n"],
        ["in", "g</w>"],
        ["t", "e"],
        ["te", "m</w>"],
      ];
      return {
        type: "BPE",
        unk_token: "<unk>",
        end_of_word_suffix: "</w>",
        fuse_unk: false,
        vocab: numbered(["<unk>", "<s>", "</s>", ...pieces, ...merges.map((pair) => pair.join(""))]),
        merges,
      };
    })(),
    { normalizer: { type: "Lowercase" }, pre_tokenizer: { type: "BertPreTokenizer" } },
  ),
  ...[
    { lstrip: true },
    { rstrip: true },
    { lstrip: true, rstrip: true, special: false },
    { single_word: true, content: "tok" },
    { normalized: true, special: false },
    { normalized: true, content: "Item", special: false },
  ].map((more) => {
    const model = fallbackBpe();
    const parts = {
      added_tokens: added(
        model,
        { content: "<tok>", ...more },
        { content: "tok<" },
        { content: "[PAD]", normalized: true },
      ),
    };
    const meta = {
      normalizer: normal({ type: "Lowercase" }, toMeta),
      pre_tokenizer: metaspace({ prepend_scheme: "first" }),
    };
    return of(`an added token with ${JSON.stringify(more)}`, model, { ...parts, ...meta });
  }),
  of("added tokens among bytes", byteBpe(), {
    added_tokens: added(
      byteBpe(),
      { content: "<tok>", lstrip: true },
      { content: " tok ", special: false, normalized: true },
    ),
    pre_tokenizer: byteLevel(),
  }),
];
