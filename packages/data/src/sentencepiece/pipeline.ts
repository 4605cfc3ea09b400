/** From text to ids and back with a SentencePiece model: the ids and texts of Python's `sentencepiece`, around added tokens. */
import { createSplitter, type Section } from "../pipeline/added_tokens.ts";
import type { Part } from "../pipeline/cut_at_matches.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { SPACE_INSIDE, WORDS } from "../space_cut.ts";
import { type AddedToken, contentOf } from "../tokenizer_json.ts";
import { createBpe } from "./bpe.ts";
import { bytesOfPiece, openPieceDecoding } from "./decode.ts";
import { bytePiece, type Segment, type Segmenter, type SentencePieceModel } from "./model.ts";
import { createTextNormalizer } from "./normalize.ts";
import { createPrefixFinder, type PrefixFinder } from "./prefixes.ts";
import { createUnigram } from "./unigram.ts";

export interface SentencePieceOptions {
  /** Tokens that a text may spell: they are found in it before the model sees what is between them. */
  readonly added: readonly AddedToken[];
  /** Ids around each text. */
  readonly front: readonly number[];
  readonly back: readonly number[];
  /** The model's dummy prefix goes in front of a text only, not also in front of what follows an added token. */
  readonly prefixesFirstOnly: boolean;
}

/** Words whose segments are kept; those of the first records are the frequent ones, so none is thrown out. */
const MAX_WORDS = 50_000;

/** @throws Error if the rules of the model's normalizer are damaged. */
export function createSentencePiece(
  model: SentencePieceModel,
  { added, front, back, prefixesFirstOnly }: SentencePieceOptions,
): Pipeline {
  const { pieces } = model;
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const addedIds = new Map(added.map(({ content, id }) => [content, id]));
  const addedTexts = new Map(added.map(({ content, id }) => [id, content]));
  const unknown = pieces.findIndex(({ type }) => type === "unknown");
  const userDefined = createPrefixFinder(pieces.flatMap(({ text, type }) => (type === "user-defined" ? [text] : [])));
  const normalize = createTextNormalizer(model.normalizer, userDefined);
  const segment = createSegmenter(model, userDefined, unknown);
  const split = createSplitter(added, contentOf);
  const sectionsOf = (text: string) => split({ text, isFirst: true });
  const byteIds = Array.from({ length: 256 }, (_, byte) => ids.get(bytePiece(byte)) ?? unknown);

  /** Bytes stand for unknown characters, or one piece for all that are beside each other. */
  const idsOfPart = ({ text, isFirst }: Part): number[] => {
    const found: number[] = [];
    let isBehindUnknown = false;
    for (const { text: part, id } of segment(normalize(text, isFirst || !prefixesFirstOnly))) {
      const isUnknown = id === unknown;
      if (!isUnknown) found.push(id);
      else if (model.byteFallback) {
        for (const byte of new TextEncoder().encode(part)) found.push(byteIds[byte] ?? unknown);
      } else if (!isBehindUnknown) found.push(unknown);
      isBehindUnknown = isUnknown;
    }
    return found;
  };
  const idsOf = (section: Section): number[] => ("token" in section ? [section.token.id] : idsOfPart(section));
  return {
    encode: (text) => sectionsOf(text).flatMap(idsOf),
    sectionsOf,
    idsOf,
    bytesOf: (id) => bytesOfPiece(id, model, addedTexts),
    openDecoding: () => openPieceDecoding(model, addedTexts),
    idOf: (token) => addedIds.get(token) ?? ids.get(token),
    tokenOf: (id) => addedTexts.get(id) ?? pieces[id]?.text,
    front,
    back,
  };
}

function createSegmenter(model: SentencePieceModel, userDefined: PrefixFinder, unknown: number): Segmenter {
  if (model.kind === "unigram") return createUnigram(model, unknown);
  return cutAtSpaces(model, createBpe(model, userDefined, unknown));
}

/** Cuts in front of spaces and keeps the words, if no piece holds a space behind another character: see `space_cut.ts`. */
function cutAtSpaces({ pieces }: SentencePieceModel, segment: Segmenter): Segmenter {
  const isFound = (type: string) => type === "normal" || type === "user-defined" || type === "unused";
  if (pieces.some(({ text, type }) => isFound(type) && SPACE_INSIDE.test(text))) return segment;
  const expression = new RegExp(WORDS, "gu");
  const kept = new Map<string, readonly Segment[]>();
  return (text) =>
    (text.match(expression) ?? []).flatMap((word) => {
      const known = kept.get(word);
      if (known) return known;
      const segments = segment(word);
      if (kept.size < MAX_WORDS) kept.set(word, segments);
      return segments;
    });
}
