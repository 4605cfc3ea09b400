/**
 * From text to ids and back. Added tokens, normalizers and pre-tokenizers are done here, exactly as the Rust library has them;
 * decoders too (`decode/`); the models (BPE, Unigram, WordPiece) are those of `@huggingface/tokenizers`.
 */
import type { Decoding } from "@zerogate/core";
import { createDecoder, decoderSteps } from "../decode/decoder.ts";
import { createTokenBytes } from "../decode/token_bytes.ts";
import { cutAtSpaces, keepWords } from "../space_cut.ts";
import { type AddedToken, contentOf, type TokenizerJson } from "../tokenizer_json.ts";
import { createSplitter, type Section } from "./added_tokens.ts";
import type { Part } from "./cut_at_matches.ts";
import { type LibraryTokenizer, Tokenizer } from "./library.ts";
import { createNormalizer } from "./normalize.ts";
import { createPreTokenizer, type Node } from "./pre_tokenize.ts";

export interface Pipeline {
  /** Ids of the text alone; NaN if the model has no token and nothing stands for the unknown. */
  encode(text: string): number[];
  /** The added tokens that a text spells, and what lies between them. */
  sectionsOf(text: string): Section[];
  /** Ids of a section, whatever is beside it. */
  idsOf(section: Section): readonly number[];
  /** The bytes that a token adds to a text behind others; undefined for tokens that have none of their own. */
  bytesOf(id: number): Uint8Array | undefined;
  /** Opens the decoding of one text. */
  openDecoding(): Decoding;
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  /** What the post-processor puts around a text. */
  readonly front: readonly number[];
  readonly back: readonly number[];
}

/** No token is it: it stands for a text that is put between others. */
const NOWHERE = "\u{10FFFF}";

/** Throws if a part asks for what cannot be done, such as an invalid regular expression. */
export function createPipeline(json: TokenizerJson): Pipeline {
  const { added_tokens: added } = json;
  const normalize = createNormalizer(json.normalizer as Node | null);
  const preTokenize = createPreTokenizer(cutAtSpaces(json).pre_tokenizer as Node | null);
  const library = new Tokenizer(forLibrary(json), {});
  const { model } = library;
  keepWords(model);
  restoreUnknownScore(model, json);
  const ids = new Map(added.map(({ content, id }) => [content, id]));
  for (const { id, content } of added) model.vocab[id] = content;
  const openTokens = createDecoder(json.decoder as Node | null);
  const bytesOfToken =
    json.decoder === null
      ? (token: string) => new TextEncoder().encode(` ${token}`)
      : createTokenBytes(decoderSteps(json.decoder as Node));

  const isNormalized = (token: AddedToken) => token.normalized ?? token.special !== true;
  const splitRaw = createSplitter(
    added.filter((token) => !isNormalized(token)),
    contentOf,
  );
  const splitNormalized = createSplitter(
    added.filter(isNormalized),
    ({ content }) => normalize({ text: content, isFirst: true }).text,
  );
  /** Tokens, and the words between them. */
  const sectionsOf = (text: string) =>
    splitRaw({ text, isFirst: true }).flatMap((section) =>
      "token" in section ? [section] : splitNormalized(normalize(section)),
    );
  const withoutUnknown = unknownDropper(json, model.tokens_to_ids);
  const idsOfWord = ({ text }: Part): number[] =>
    model([withoutUnknown(text)]).map((token) => model.tokens_to_ids.get(token) ?? model.unk_token_id ?? Number.NaN);
  const idOf = (token: string) => ids.get(token) ?? model.tokens_to_ids.get(token);
  const around = library.post_processor?.post_process([NOWHERE]).tokens ?? [NOWHERE];
  const place = around.indexOf(NOWHERE);
  const idsAround = (tokens: readonly string[]) => tokens.map((token) => idOf(token) ?? Number.NaN);
  const idsOf = (section: Section): number[] =>
    "token" in section ? [section.token.id] : preTokenize(section).flatMap(idsOfWord);
  return {
    encode: (text) => sectionsOf(text).flatMap(idsOf),
    sectionsOf,
    idsOf,
    bytesOf(id) {
      const token = model.vocab[id];
      return token === undefined ? undefined : bytesOfToken?.(token);
    },
    openDecoding() {
      const { push, end } = openTokens();
      return { push: (id) => push(model.vocab[id] ?? ""), end };
    },
    idOf,
    tokenOf: (id) => model.vocab[id],
    front: idsAround(around.slice(0, place)),
    back: idsAround(around.slice(place + 1)),
  };
}

/** The parts that the library does, so that it does them as Rust's. */
function forLibrary(json: TokenizerJson): object {
  return {
    ...json,
    model: { continuing_subword_prefix: "##", ...json.model }, // only WordPiece asks for it
    normalizer: null,
    pre_tokenizer: null,
    added_tokens: [], // or one of them could stand for the unknown, while Rust's refuses a text
    decoder: null, // see decode/
  };
}

/** The library takes the unknown piece's own text for as unlikely as an unknown character. */
function restoreUnknownScore({ scores }: LibraryTokenizer["model"], { model }: TokenizerJson): void {
  const { vocab, unk_id: unknown } = model;
  if (scores && Array.isArray(vocab) && typeof unknown === "number") scores[unknown] = Number(vocab[unknown]?.[1]);
}

/** Where nothing stands for the unknown, BPE passes over such characters before it merges what is left. */
function unknownDropper({ model }: TokenizerJson, ids: ReadonlyMap<string, number>): (word: string) => string {
  const { type, unk_token: unknown, byte_fallback: hasBytes } = model;
  if (type !== "BPE" || typeof unknown === "string") return (word) => word;
  const bytesOf = (character: string) =>
    Array.from(
      new TextEncoder().encode(character),
      (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    );
  const isKnown = (character: string) =>
    ids.has(character) || (hasBytes === true && bytesOf(character).every((byte) => ids.has(byte)));
  return (word) => {
    const characters = Array.from(word);
    return characters.every(isKnown) ? word : characters.filter(isKnown).join("");
  };
}
