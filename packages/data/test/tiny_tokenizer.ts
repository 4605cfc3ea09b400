/** A byte-pair tokenizer of LLaMA's kind, small enough to follow by hand: bytes as a fallback, spaces as "▁", few merges. */
import type { TokenizerFiles } from "../src/tokenizer_files.ts";

export const UNK = 0;
export const BOS = 1;
export const EOS = 2;
/** `<0x00>` … `<0xFF>` follow the special tokens, then the letters, then what the merges make. */
export const byteId = (byte: number): number => 3 + byte;

const letters = "▁abcdefghijklmnopqrstuvwxyz<>/:.".split("");
const merges: [string, string][] = [
  ["▁", "a"],
  ["a", "b"],
  ["▁a", "b"],
  [":", "y"], // reaches from the end of a prompt into the response
  ["<", "/"],
  ["</", "s"],
  ["</s", ">"], // makes the text of a special token
];

const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });

/** The parsed tokenizer.json; a test may change it before it is written. */
export function tinyTokenizerJson() {
  const pieces = ["<unk>", "<s>", "</s>"];
  for (let byte = 0; byte < 256; byte++) pieces.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  pieces.push(...letters, ...merges.map((pair) => pair.join("")).filter((piece) => piece !== "</s>"));
  return {
    added_tokens: [special(UNK, "<unk>"), special(BOS, "<s>"), special(EOS, "</s>")],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    } as unknown,
    pre_tokenizer: null as unknown,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [BOS], tokens: ["<s>"] } },
    } as unknown,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    } as unknown,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
    },
  };
}

export function tinyTokenizerFiles(
  json: unknown = tinyTokenizerJson(),
  config: unknown = { bos_token: "<s>", eos_token: "</s>" },
): TokenizerFiles {
  return {
    directory: "tiny",
    tokenizerJson: JSON.stringify(json),
    tokenizerConfigJson: JSON.stringify(config),
    specialTokensMapJson: "{}",
  };
}
