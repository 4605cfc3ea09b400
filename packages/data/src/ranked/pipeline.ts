/**
 * From text to ids and back with byte pieces that are merged by rank, as tiktoken does it: a regular expression cuts the text into
 * words; a word that is a piece is that piece, the bytes of any other are merged, the lowest rank first.
 */
import { decodeLossy, openUtf8Stream } from "../decode/utf8_stream.ts";
import { createSplitter, type Section } from "../pipeline/added_tokens.ts";
import { splitPart } from "../pipeline/cut_at_matches.ts";
import { mergePairs } from "../pipeline/merge_pairs.ts";
import { createMatcher } from "../pipeline/patterns.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { type AddedToken, contentOf } from "../tokenizer_json.ts";
import type { RankedPieces } from "./pieces.ts";

export interface RankedOptions {
  /** Cuts a text into words. */
  readonly expression: string;
  /** The id of the piece of rank 0. */
  readonly firstId: number;
  readonly added: readonly AddedToken[];
  /** Ids around each text. */
  readonly front: readonly number[];
  readonly back: readonly number[];
}

/** Words whose ids are kept; those of the first records are the frequent ones, so none is thrown out. */
const MAX_WORDS = 50_000;

/** @throws SyntaxError for an expression that JavaScript cannot do. */
export function createRanked(pieces: RankedPieces, options: RankedOptions): Pipeline {
  const { expression, firstId, added, front, back } = options;
  const matcher = createMatcher({ Regex: expression });
  const split = createSplitter(added, contentOf);
  const sectionsOf = (text: string) => split({ text: text.replace(/\p{Surrogate}/gu, "\ufffd"), isFirst: true });
  const addedIds = new Map(added.map(({ content, id }) => [content, id]));
  const addedTexts = new Map(added.map(({ content, id }) => [id, content]));
  const ranks = new Map(pieces.map((piece, rank) => [piece, rank]));
  const ranksOf = createWordRanks(ranks);
  const bytesOf = (id: number): Buffer | undefined => {
    const text = addedTexts.get(id);
    const piece = text === undefined ? pieces[id - firstId] : undefined;
    return piece === undefined ? (text === undefined ? undefined : Buffer.from(text)) : Buffer.from(piece, "latin1");
  };
  const rankOf = (token: string) => ranks.get(Buffer.from(token).toString("latin1"));
  const idsOf = (section: Section): number[] =>
    "token" in section
      ? [section.token.id]
      : splitPart(section, matcher, "Isolated", false).flatMap((word) =>
          ranksOf(word.text).map((rank) => firstId + rank),
        );
  return {
    encode: (text) => sectionsOf(text).flatMap(idsOf),
    sectionsOf,
    idsOf,
    bytesOf,
    openDecoding() {
      const { push, end } = openUtf8Stream(decodeLossy);
      return { push: (id) => push(bytesOf(id) ?? []), end };
    },
    idOf(token) {
      const rank = rankOf(token);
      return addedIds.get(token) ?? (rank === undefined ? undefined : firstId + rank);
    },
    tokenOf: (id) => bytesOf(id)?.toString(),
    front,
    back,
  };
}

/** Ranks of the pieces of a word. Every byte has one, see `rankedPieces`. */
function createWordRanks(ranks: ReadonlyMap<string, number>): (word: string) => readonly number[] {
  const kept = new Map<string, readonly number[]>();
  const scoreOf = (left: string, right: string) => {
    const rank = ranks.get(left + right);
    return rank === undefined ? undefined : -rank;
  };
  return (word) => {
    const known = kept.get(word);
    if (known) return known;
    const bytes = Buffer.from(word).toString("latin1");
    const parts = ranks.has(bytes) ? [bytes] : mergePairs(bytes.split(""), scoreOf);
    const found = parts.map((part) => ranks.get(part) ?? Number.NaN);
    if (kept.size < MAX_WORDS) kept.set(word, found);
    return found;
  };
}
