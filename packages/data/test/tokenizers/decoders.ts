/** Tokenizers with the decoders in use, small, each with token ids at random: pieces, bytes that are no text, added tokens. */
import { cases } from "./cases.ts";

const step = (type: string, more: object = {}) => ({ type, ...more });
const chain = (...decoders: object[]) => ({ type: "Sequence", decoders });
const spaced = step("Replace", { pattern: { String: "▁" }, content: " " });
const strip = (start: number, stop = 0) => step("Strip", { content: " ", start, stop });
const byteLevel = step("ByteLevel", { add_prefix_space: true, trim_offsets: true, use_regex: true });
const metaspace = (scheme: string) => step("Metaspace", { replacement: "▁", prepend_scheme: scheme, split: true });

/** Decoders by the name of a tokenizer in `cases.ts`. */
const decoders: readonly (readonly [string, object | null])[] = [
  ["GPT-2", byteLevel],
  ["GPT-2", chain(byteLevel, strip(1))],
  ["GPT-2", chain(byteLevel, strip(0, 1))],
  ["added tokens among bytes", byteLevel],
  ["Llama 2", chain(spaced, step("ByteFallback"), step("Fuse"), strip(1))],
  ["Llama 2", chain(spaced, step("ByteFallback"), step("Fuse"), strip(2, 2))],
  ["Llama 2", chain(spaced, step("ByteFallback"), strip(1))],
  ["Gemma", chain(spaced, step("ByteFallback"), step("Fuse"))],
  ['an added token with {"lstrip":true}', chain(spaced, step("ByteFallback"), step("Fuse"), strip(1))],
  ["Llama 2", chain(step("Fuse"), spaced)],
  ["Metaspace by default", metaspace("always")],
  ["Metaspace by default", metaspace("first")],
  ["Metaspace by default", metaspace("never")],
  ["T5", metaspace("always")],
  ["BERT", step("WordPiece", { prefix: "##", cleanup: true })],
  ["BERT", step("WordPiece", { prefix: "##", cleanup: false })],
  ["a word's end", step("BPEDecoder", { suffix: "</w>" })],
  ["words", step("CTC", { pad_token: "a", word_delimiter_token: "b", cleanup: true })],
  ["words", step("CTC", { pad_token: "a", word_delimiter_token: "b", cleanup: false })],
  ["words", null],
];

export interface DecoderCase {
  readonly name: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly ids: readonly (readonly number[])[];
}

/** The next number of a sequence that looks random: as small as this needs, and the same everywhere. */
function openNumbers(): (below: number) => number {
  let state = 12_345;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

export function decoderCases(lists: number): DecoderCase[] {
  const number = openNumbers();
  return decoders.map(([name, decoder]) => {
    const found = cases.find((one) => one.name === name);
    if (!found) throw new Error(`no tokenizer is named ${name}`);
    const { model, added_tokens: added } = found.json as {
      model: { vocab: Readonly<Record<string, number>> | readonly unknown[] };
      added_tokens: readonly { readonly id: number; readonly normalized: boolean }[];
    };
    const size = Array.isArray(model.vocab) ? model.vocab.length : Object.keys(model.vocab).length;
    // Rust shows an added token that is normalised as its normalizer leaves it, here it is shown as it is.
    const more = added.filter(({ id, normalized }) => id >= size && !normalized).map(({ id }) => id);
    const known = [...Array.from({ length: size }, (_, id) => id), ...more];
    const idAtRandom = () => known[number(known.length)] ?? 0;
    const ids = Array.from({ length: lists }, () => Array.from({ length: 1 + number(12) }, idAtRandom));
    return { name: `${name}, ${JSON.stringify(decoder)}`, json: { ...found.json, decoder }, ids };
  });
}
