/** Cuts a text into pieces by merging neighbours, the best score first: `bpe::Model::SampleEncode` of SentencePiece 0.2. */
import { mergePairs } from "../pipeline/merge_pairs.ts";
import type { Segment, Segmenter, SentencePieceModel } from "./model.ts";
import type { PrefixFinder } from "./prefixes.ts";

/**
 * @param userDefined Finds pieces that are taken whole and merged with nothing.
 * @param unknown Id of the piece that stands for a text that is no piece.
 */
export function createBpe(
  { pieces }: Pick<SentencePieceModel, "pieces">,
  userDefined: PrefixFinder,
  unknown: number,
): Segmenter {
  const scores = new Map<string, number>();
  const ids = new Map<string, number>();
  const unused = new Set<string>();
  for (const [id, { text, type, score }] of pieces.entries()) {
    const isFound = type === "normal" || type === "user-defined" || type === "unused";
    if (isFound) scores.set(text, score);
    // A text that is both is the reserved piece, as in `PieceToId`.
    if (!isFound || !ids.has(text)) ids.set(text, id);
    if (type === "unused") unused.add(text);
  }
  return (text) => {
    const { symbols, isFrozen } = symbolsOf(text, userDefined);
    /** What pieces that must not be used were made of. */
    const madeOf = new Map<string, readonly [left: string, right: string]>();
    const merged = mergePairs(symbols, (left, right, at, next) => {
      if (isFrozen[at] || isFrozen[next]) return undefined;
      const joined = left + right;
      if (unused.has(joined)) madeOf.set(joined, [left, right]);
      return scores.get(joined);
    });
    const segmentsOf = (piece: string): Segment[] => {
      const sides = unused.has(piece) ? madeOf.get(piece) : undefined;
      return sides ? sides.flatMap(segmentsOf) : [{ text: piece, id: ids.get(piece) ?? unknown }];
    };
    return merged.flatMap(segmentsOf);
  };
}

/** Characters, and pieces that a user defined. */
function symbolsOf(text: string, userDefined: PrefixFinder): { symbols: string[]; isFrozen: boolean[] } {
  const symbols: string[] = [];
  const isFrozen: boolean[] = [];
  for (let at = 0; at < text.length; ) {
    const kept = userDefined(text, at);
    const symbol = kept > 0 ? text.slice(at, at + kept) : String.fromCodePoint(text.codePointAt(at) ?? 0);
    symbols.push(symbol);
    isFrozen.push(kept > 0);
    at += symbol.length;
  }
  return { symbols, isFrozen };
}
