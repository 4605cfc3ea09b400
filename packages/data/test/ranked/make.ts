/** Byte pieces with ranks, as tiktoken's and Mistral's files have them, made of texts. */
import { corpus } from "../sentencepiece/texts.ts";

/** The most frequent neighbours of words of these texts become a piece, `merges` times: byte-pair encoding as it is trained. */
export function trainPieces(texts: readonly string[], merges: number): string[] {
  const words = texts.flatMap((text) => text.match(/ ?\S+|\s+/gu) ?? []);
  const parts = words.map((word) => Buffer.from(word).toString("latin1").split(""));
  const pieces = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const known = new Set(pieces);
  for (let made = 0; made < merges; made++) {
    const counts = new Map<string, number>();
    for (const word of parts) {
      for (let i = 1; i < word.length; i++) {
        const joined = `${word[i - 1]}${word[i]}`;
        if (!known.has(joined)) counts.set(joined, (counts.get(joined) ?? 0) + 1);
      }
    }
    const [best] = [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    if (!best) break;
    pieces.push(best[0]);
    known.add(best[0]);
    for (const word of parts) {
      for (let i = 1; i < word.length; i++) {
        if (`${word[i - 1]}${word[i]}` === best[0]) word.splice(i - 1, 2, best[0]);
      }
    }
  }
  return pieces;
}

/** Trained pieces, then any others of two and three bytes, as many as a model's file has. */
export function piecesLike(count: number): string[] {
  const pieces = new Set(trainPieces(corpus, 200));
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) pieces.add(String.fromCharCode(a, b));
  }
  for (let i = 0; pieces.size < count; i++) {
    pieces.add(String.fromCharCode(97 + (i % 26), 32 + (Math.floor(i / 26) % 96), 32 + Math.floor(i / 2496)));
  }
  return [...pieces].slice(0, count);
}

const base64 = (piece: string) => Buffer.from(piece, "latin1").toString("base64");

export const tiktokenFile = (pieces: readonly string[]): string =>
  pieces.map((piece, rank) => `${base64(piece)} ${rank}\n`).join("");

/** Mistral's expression, of Nemo and later. */
const tekkenExpression =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

export interface TekkenJson {
  config: Record<string, unknown>;
  vocab: unknown[];
  special_tokens?: unknown;
}

/** Some pieces more than are used, as real files have. */
export function tekkenFile(pieces: readonly string[], unused = 3): TekkenJson {
  const special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"];
  return {
    config: {
      pattern: tekkenExpression,
      num_vocab_tokens: pieces.length,
      default_vocab_size: pieces.length - unused + 8,
      default_num_special_tokens: 8,
      version: "v11",
    },
    vocab: pieces.map((piece, rank) => ({ rank, token_bytes: base64(piece), token_str: null })),
    special_tokens: special.map((token_str, rank) => ({ rank, token_str, is_control: true })),
  };
}
