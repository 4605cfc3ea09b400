/** Byte pieces by rank: what files of tiktoken and Mistral's tekken hold. */

/** As many as a tokenizer.json may have. */
const MAX_PIECES = 1_048_576;

/** Bytes of the pieces, one character (U+0000 to U+00FF) each, by rank. */
export type RankedPieces = readonly string[];

/**
 * Puts pieces in the order of their ranks. Every byte must be a piece, so that no text is without ids.
 * @throws Error if ranks or pieces are missing or there twice.
 */
export function rankedPieces(found: Iterable<readonly [rank: number, base64: string]>): RankedPieces {
  const byRank = new Map<number, string>();
  for (const [rank, base64] of found) {
    if (!(Number.isInteger(rank) && rank >= 0 && rank < MAX_PIECES)) throw new Error(`a piece has the rank ${rank}`);
    if (byRank.has(rank)) throw new Error(`two pieces have the rank ${rank}`);
    const piece = Buffer.from(base64, "base64").toString("latin1");
    if (piece === "" || Buffer.from(piece, "latin1").toString("base64") !== base64) {
      throw new Error(`the piece of rank ${rank} is not bytes in base64`);
    }
    byRank.set(rank, piece);
  }
  const pieces = Array.from({ length: byRank.size }, (_, rank) => {
    const piece = byRank.get(rank);
    if (piece === undefined) throw new Error(`it has ${byRank.size} pieces and none of rank ${rank}`);
    return piece;
  });
  const known = new Set(pieces);
  if (known.size < pieces.length) throw new Error("two of its pieces are the same bytes");
  for (let byte = 0; byte < 256; byte++) {
    if (!known.has(String.fromCharCode(byte))) throw new Error(`it has no piece for the byte ${byte}`);
  }
  return pieces;
}
