/** What a SentencePiece model says, however it is stored: its pieces, and how a text becomes what they are found in. */

/** `control` pieces are found in no text; `byte` ones stand for what no other piece fits. */
export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

export interface Piece {
  readonly text: string;
  /** As float32: a log-probability of a unigram model, minus the number of its merge in a BPE model. */
  readonly score: number;
  readonly type: PieceType;
}

export interface NormalizerSettings {
  /** Rules in SentencePiece's compiled form, see `charsmap.ts`; absent if characters stay what they are. */
  readonly charsmap?: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
  /** The dummy "prefix" goes behind the text, as the whitespace of each word does. */
  readonly whitespaceAsSuffix: boolean;
}

export interface SentencePieceModel {
  readonly kind: "bpe" | "unigram";
  /** By id. */
  readonly pieces: readonly Piece[];
  readonly byteFallback: boolean;
  readonly normalizer: NormalizerSettings;
  /** Texts of the pieces that begin and end texts; they count only if those are control pieces. */
  readonly bosPiece: string;
  readonly eosPiece: string;
  /** What the unknown piece is decoded to. */
  readonly unknownSurface: string;
}

/** The piece that stands for a byte. */
export const bytePiece = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/** What spaces become. */
export const SPACE_PIECE = "▁";

/** A part of a text, and the id of the piece that it is. */
export interface Segment {
  readonly text: string;
  readonly id: number;
}

/** Cuts a normalised text into pieces; characters that no piece fits have the id of the unknown one. */
export type Segmenter = (text: string) => Segment[];
