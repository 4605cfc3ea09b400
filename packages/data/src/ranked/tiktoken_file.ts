/** Files of tiktoken (`tokenizer.model` of Llama 3, `qwen.tiktoken`): a line for each piece, its bytes in base64 and its rank. */
import { type RankedPieces, rankedPieces } from "./pieces.ts";

const LINE = /^([A-Za-z0-9+/]+={0,2}) (\d{1,7})$/;

/** Whether a file begins as tiktoken's do. */
export function isTiktoken(bytes: Uint8Array): boolean {
  const [line = ""] = latin(bytes.subarray(0, 1_000)).split("\n");
  return LINE.test(line.trimEnd());
}

/** @throws Error that says what is wrong. */
export function parseTiktoken(bytes: Uint8Array): RankedPieces {
  const lines = latin(bytes).trimEnd().split("\n");
  return rankedPieces(
    lines.map((line, i) => {
      const [, piece, rank] = LINE.exec(line.trimEnd()) ?? [];
      if (piece === undefined) throw new Error(`its line ${i + 1} is not a piece in base64 and a rank`);
      return [Number(rank), piece] as const;
    }),
  );
}

const latin = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
