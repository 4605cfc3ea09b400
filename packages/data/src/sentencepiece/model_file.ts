/**
 * SentencePiece's model files (`tokenizer.model`, `spiece.model`): a message of Protocol Buffers, fields as in
 * `sentencepiece_model.proto` of SentencePiece 0.2. What its own library refuses is refused, and so is what is not done here.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { bytePiece, type Piece, type PieceType, type SentencePieceModel } from "./model.ts";

/** As many as a tokenizer.json may have. */
const MAX_PIECES = 1_048_576;
/** SentencePiece's own limit. */
const MAX_PIECE_BYTES = 8_000;

/** By the number that a file has for it, as `kinds`. */
const pieceTypes: readonly (PieceType | undefined)[] = [
  undefined,
  "normal",
  "unknown",
  "control",
  "user-defined",
  "unused",
  "byte",
];
const kinds = [undefined, "unigram", "bpe", "word", "char"] as const;

/** What takes the values of a field; values of another wire type are passed over, as those of other fields are. */
interface Field {
  bytes?(value: Uint8Array): void;
  float?(value: number): void;
  integer?(value: number): void;
}

/** @throws Error that says what is wrong if the file is damaged or asks for what cannot be done. */
export function parseSentencePieceModel(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = readTrainer(new Uint8Array());
  let normalizer = readNormalizer(new Uint8Array());
  let denormalizer = normalizer;
  readMessage(bytes, {
    1: {
      bytes(value) {
        if (pieces.length === MAX_PIECES) throw new Error(`it has more than ${MAX_PIECES} pieces`);
        pieces.push(readPiece(value));
      },
    },
    2: { bytes: (value) => (trainer = readTrainer(value)) },
    3: { bytes: (value) => (normalizer = readNormalizer(value)) },
    5: { bytes: (value) => (denormalizer = readNormalizer(value)) },
  });
  const { kind, whitespaceAsSuffix, ...others } = trainer;
  if (kind !== "bpe" && kind !== "unigram") {
    throw new Error(`it is a model of the kind ${kind ?? "without a name"}, bpe or unigram is needed`);
  }
  if (denormalizer.charsmap) {
    throw new Error("it has rules for decoded texts (denormalizer_spec), which cannot be done here");
  }
  const model: SentencePieceModel = { kind, pieces, ...others, normalizer: { ...normalizer, whitespaceAsSuffix } };
  checkPieces(model);
  return model;
}

function readPiece(bytes: Uint8Array): Piece {
  let piece: Piece = { text: "", score: 0, type: "normal" };
  readMessage(bytes, {
    1: {
      bytes(value) {
        if (value.length >= MAX_PIECE_BYTES) throw new Error(`it has a piece of ${value.length} bytes`);
        piece = { ...piece, text: textOf(value) };
      },
    },
    2: { float: (score) => (piece = { ...piece, score }) },
    3: {
      integer(value) {
        const type = pieceTypes[value];
        if (type === undefined) throw new Error(`it has a piece of type ${value}, which is not known`);
        piece = { ...piece, type };
      },
    },
  });
  return piece;
}

function readTrainer(bytes: Uint8Array) {
  const trainer = {
    kind: "unigram" as (typeof kinds)[number],
    whitespaceAsSuffix: false,
    byteFallback: false,
    unknownSurface: " \u2047 ",
    bosPiece: "<s>",
    eosPiece: "</s>",
  };
  readMessage(bytes, {
    3: { integer: (value) => (trainer.kind = kinds[value]) },
    24: { integer: (value) => (trainer.whitespaceAsSuffix = value !== 0) },
    35: { integer: (value) => (trainer.byteFallback = value !== 0) },
    44: { bytes: (value) => (trainer.unknownSurface = textOf(value)) },
    46: { bytes: (value) => (trainer.bosPiece = textOf(value) || trainer.bosPiece) },
    47: { bytes: (value) => (trainer.eosPiece = textOf(value) || trainer.eosPiece) },
  });
  return trainer;
}

function readNormalizer(bytes: Uint8Array) {
  let charsmap: Uint8Array | undefined;
  const settings = { addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true };
  readMessage(bytes, {
    2: { bytes: (value) => (charsmap = value.length > 0 ? value : undefined) },
    3: { integer: (value) => (settings.addDummyPrefix = value !== 0) },
    4: { integer: (value) => (settings.removeExtraWhitespaces = value !== 0) },
    5: { integer: (value) => (settings.escapeWhitespaces = value !== 0) },
  });
  return { ...settings, ...(charsmap && { charsmap }) };
}

function readMessage(bytes: Uint8Array, fields: Readonly<Record<number, Field>>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const field = fields[number];
    if (type === WireType.LengthDelimited && field?.bytes) field.bytes(reader.bytes());
    else if (type === WireType.Bit32 && field?.float) field.float(reader.float());
    else if (type === WireType.Varint && field?.integer) field.integer(reader.int32());
    else reader.skip(type, number);
  }
}

/** Refuses what `InitializePieces` of SentencePiece does, and numbers that no score is. */
function checkPieces({ pieces, byteFallback }: SentencePieceModel): void {
  const found = new Set<string>();
  const reserved = new Set<string>();
  for (const { text, type, score } of pieces) {
    const named = JSON.stringify(text).slice(0, 100);
    if (text === "" || text.includes("\0")) throw new Error(`it has a piece ${named}, which is empty or holds a zero`);
    if (!Number.isFinite(score)) throw new Error(`its piece ${named} has the score ${score}`);
    const own = type === "normal" || type === "user-defined" || type === "unused" ? found : reserved;
    if (own.has(text)) throw new Error(`it has two pieces ${named}`);
    own.add(text);
    if (type === "byte" && !byteFallback) throw new Error(`it has a piece for a byte, ${named}, and no byte_fallback`);
  }
  const unknown = pieces.filter(({ type }) => type === "unknown").length;
  if (unknown !== 1) throw new Error(`it has ${unknown} unknown pieces, one is needed`);
  const bytes = new Set(pieces.flatMap(({ text, type }) => (type === "byte" ? [text] : [])));
  const missing = Array.from({ length: 256 }, (_, byte) => bytePiece(byte)).find((piece) => !bytes.has(piece));
  if (byteFallback && missing !== undefined) throw new Error(`it has byte_fallback and no piece ${missing}`);
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error("it has a text that is not UTF-8");
  }
}
