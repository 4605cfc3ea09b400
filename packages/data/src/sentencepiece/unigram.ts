/**
 * The most probable way to cut a text into pieces: `unigram::Model::EncodeOptimized` of SentencePiece 0.2.2, whose sums of
 * scores are float32 from the beginning of the text on.
 */
import type { Segment, Segmenter, SentencePieceModel } from "./model.ts";
import { beginningsOf } from "./prefixes.ts";

/** How much less likely than the least likely piece an unknown character is. */
const UNKNOWN_PENALTY = 10;
/** Pieces that a user defined are always taken: each of their bytes but one adds to the score, which others only lower. */
const USER_DEFINED_BONUS = 0.1;

/** The best cut of the text up to a place. */
interface Cut {
  readonly id: number;
  readonly score: number;
  readonly begin: number;
}

/** @param unknown Id of the piece that stands for a character that no piece fits. */
export function createUnigram({ pieces }: Pick<SentencePieceModel, "pieces">, unknown: number): Segmenter {
  const normal = pieces.filter(({ type }) => type === "normal");
  const worst = normal.reduce((least, { score }) => Math.min(least, score), Number.POSITIVE_INFINITY);
  const unknownScore = Math.fround(worst - UNKNOWN_PENALTY);
  const scores = pieces.map(({ text, type, score }) =>
    type === "user-defined" ? Math.fround(USER_DEFINED_BONUS * (Buffer.byteLength(text) - 1)) : score,
  );
  const isFound = (id: number) => pieces[id]?.type === "normal" || pieces[id]?.type === "user-defined";
  const found = beginningsOf(pieces.flatMap(({ text }, id) => (isFound(id) ? [[text, id] as const] : [])));
  return (text) => {
    const cuts: (Cut | undefined)[] = Array.from({ length: text.length + 1 });
    const offer = (end: number, id: number, begin: number, own: number) => {
      const score = Math.fround(own + (cuts[begin]?.score ?? 0));
      const known = cuts[end];
      if (known === undefined || score > known.score) cuts[end] = { id, begin, score };
    };
    for (let begin = 0; begin < text.length; ) {
      const width = (text.codePointAt(begin) ?? 0) > 0xffff ? 2 : 1;
      let hasCharacter = false;
      for (let end = begin + 1; end <= text.length; end++) {
        const part = text.slice(begin, end);
        const id = found.get(part);
        if (id === undefined) {
          if (!found.has(part)) break;
          continue;
        }
        offer(end, id, begin, scores[id] ?? 0);
        if (end - begin === width) hasCharacter = true;
      }
      if (!hasCharacter) offer(begin + width, unknown, begin, unknownScore);
      begin += width;
    }
    return backwards(text, cuts);
  };
}

function backwards(text: string, cuts: readonly (Cut | undefined)[]): Segment[] {
  const segments: Segment[] = [];
  for (let end = text.length; end > 0; ) {
    const { id, begin } = cuts[end] ?? { id: -1, begin: end - 1 };
    segments.push({ text: text.slice(begin, end), id });
    end = begin;
  }
  return segments.toReversed();
}
