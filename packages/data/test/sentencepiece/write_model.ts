/** Writes SentencePiece models field by field, sound ones and others. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** [text, score, type]: 1 normal, 2 unknown, 3 control, 4 of a user, 5 not used, 6 a byte. */
export type WrittenPiece = readonly [text: string | Uint8Array, score: number, type: number];

export interface WrittenModel {
  readonly pieces: readonly WrittenPiece[];
  /** 1 unigram, 2 BPE, 3 word, 4 character. */
  readonly kind?: number;
  readonly byteFallback?: boolean;
  readonly eosPiece?: string;
  readonly normalizer?: { readonly charsmap?: Uint8Array; readonly prefix?: boolean; readonly trims?: boolean };
  readonly denormalizer?: Uint8Array;
}

export const minimalPieces: readonly WrittenPiece[] = [
  ["<unk>", 0, 2],
  ["<s>", 0, 3],
  ["</s>", 0, 3],
  ["▁", -1, 1],
  ["a", -2, 1],
  ["b", -3, 1],
  ["▁a", -0.5, 1],
  ["ab", -0.25, 1],
];

export function writeModel(model: WrittenModel): Uint8Array {
  const { pieces, kind = 2, byteFallback = false, eosPiece, normalizer = {}, denormalizer } = model;
  const writer = new BinaryWriter();
  const bytes = (number: number, value: Uint8Array, to = writer) =>
    to.tag(number, WireType.LengthDelimited).bytes(value);
  for (const [text, score, type] of pieces) {
    const piece = new BinaryWriter();
    bytes(1, typeof text === "string" ? new TextEncoder().encode(text) : text, piece);
    piece.tag(2, WireType.Bit32).float(score).tag(3, WireType.Varint).int32(type);
    bytes(1, piece.finish());
  }
  const trainer = new BinaryWriter().tag(3, WireType.Varint).int32(kind);
  trainer.tag(35, WireType.Varint).bool(byteFallback);
  if (eosPiece !== undefined) trainer.tag(47, WireType.LengthDelimited).string(eosPiece);
  bytes(2, trainer.finish());
  const { charsmap, prefix = true, trims = false } = normalizer;
  const settings = new BinaryWriter();
  if (charsmap) bytes(2, charsmap, settings);
  settings.tag(3, WireType.Varint).bool(prefix).tag(4, WireType.Varint).bool(trims);
  bytes(3, settings.finish());
  if (denormalizer) bytes(5, bytes(2, denormalizer, new BinaryWriter()).finish());
  return writer.finish();
}
