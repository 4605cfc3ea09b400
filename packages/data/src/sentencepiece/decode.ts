/** Text from ids: `SentencePieceProcessor::Decode` of SentencePiece 0.2, with the texts of added tokens as they are. */
import type { Decoding } from "@zerogate/core";
import { decodeByteByByte, openUtf8Stream } from "../decode/utf8_stream.ts";
import { bytePiece, type Piece, type SentencePieceModel, SPACE_PIECE } from "./model.ts";

const byteOf: ReadonlyMap<string, number> = new Map(Array.from({ length: 256 }, (_, byte) => [bytePiece(byte), byte]));

/** Opens the decoding of one text. @param added Texts of tokens that are no pieces, or that stand for one, by id. */
export function openPieceDecoding(
  { pieces, normalizer, unknownSurface }: SentencePieceModel,
  added: ReadonlyMap<number, string>,
): Decoding {
  const { addDummyPrefix, removeExtraWhitespaces } = normalizer;
  /** Whether the space that normalisation put in front may still come. */
  let mayBegin = addDummyPrefix || removeExtraWhitespaces;
  const bytes = openUtf8Stream(decodeByteByByte);
  const handOn = (text: string): string => {
    if (text !== "") mayBegin = false;
    return text;
  };
  return {
    push(id) {
      const piece = pieces[id];
      const byte = added.has(id) || piece?.type !== "byte" ? undefined : byteOf.get(piece.text);
      if (byte !== undefined) return handOn(bytes.push([byte]));
      const before = handOn(bytes.end());
      const plain = added.get(id) ?? textOfPiece(piece, unknownSurface);
      const isBegin = mayBegin && !added.has(id) && piece?.type !== "unknown" && plain.startsWith(SPACE_PIECE);
      if (isBegin && !removeExtraWhitespaces) mayBegin = false;
      return before + handOn(added.has(id) ? plain : (isBegin ? plain.slice(1) : plain).replaceAll(SPACE_PIECE, " "));
    },
    end: () => bytes.end(),
  };
}

/** Returns the bytes that a token adds to a text behind others. */
export function bytesOfPiece(
  id: number,
  { pieces, unknownSurface }: SentencePieceModel,
  added: ReadonlyMap<number, string>,
): Uint8Array | undefined {
  const [piece, plain] = [pieces[id], added.get(id)];
  const byte = plain === undefined && piece?.type === "byte" ? byteOf.get(piece.text) : undefined;
  if (byte !== undefined) return Uint8Array.of(byte);
  if (plain === undefined && piece === undefined) return undefined;
  return new TextEncoder().encode(plain ?? textOfPiece(piece, unknownSurface).replaceAll(SPACE_PIECE, " "));
}

function textOfPiece(piece: Piece | undefined, unknownSurface: string): string {
  if (piece === undefined || piece.type === "control") return "";
  return piece.type === "unknown" ? unknownSurface : piece.text;
}
