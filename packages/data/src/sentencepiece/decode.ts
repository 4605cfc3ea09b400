/** Text from ids: `SentencePieceProcessor::Decode` of SentencePiece 0.2, with the texts of added tokens as they are. */
import { bytePiece, type Piece, type SentencePieceModel, SPACE_PIECE } from "./model.ts";

const byteOf: ReadonlyMap<string, number> = new Map(Array.from({ length: 256 }, (_, byte) => [bytePiece(byte), byte]));

/** @param added Texts of tokens that are no pieces, or that stand for one, by id. */
export function decodePieces(
  ids: readonly number[],
  { pieces, normalizer, unknownSurface }: SentencePieceModel,
  added: ReadonlyMap<number, string>,
): string {
  const { addDummyPrefix, removeExtraWhitespaces } = normalizer;
  let text = "";
  /** Whether the space that normalisation put in front may still come. */
  let mayBegin = addDummyPrefix || removeExtraWhitespaces;
  let bytes: number[] = [];
  const flush = () => {
    text += textOfBytes(bytes);
    bytes = [];
    if (text !== "") mayBegin = false;
  };
  for (const id of ids) {
    const piece = pieces[id];
    const byte = added.has(id) || piece?.type !== "byte" ? undefined : byteOf.get(piece.text);
    if (byte !== undefined) {
      bytes.push(byte);
      continue;
    }
    flush();
    const plain = added.get(id) ?? textOfPiece(piece, unknownSurface);
    const isBegin = mayBegin && !added.has(id) && piece?.type !== "unknown" && plain.startsWith(SPACE_PIECE);
    if (isBegin && !removeExtraWhitespaces) mayBegin = false;
    text += added.has(id) ? plain : (isBegin ? plain.slice(1) : plain).replaceAll(SPACE_PIECE, " ");
  }
  flush();
  return text;
}

function textOfPiece(piece: Piece | undefined, unknownSurface: string): string {
  if (piece === undefined || piece.type === "control") return "";
  return piece.type === "unknown" ? unknownSurface : piece.text;
}

/** Bytes that are no character become U+FFFD one by one. */
function textOfBytes(bytes: readonly number[]): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const [first = 0] = bytes.slice(at);
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      text += decoder.decode(Uint8Array.from(bytes.slice(at, at + length)));
      at += length;
    } catch {
      text += "\ufffd";
      at++;
    }
  }
  return text;
}
