/** Signatures of binary files that end up where weights, a config, a tokenizer or data were meant to be. */

export type FileKind =
  | "empty"
  | "zeros"
  | "pointer"
  | "web-page"
  | "server-message"
  | "link-text"
  | "compressed"
  | "archive"
  | "torch"
  | "pickle"
  | "numpy"
  | "image"
  | "document"
  | "gguf"
  | "parquet"
  | "table"
  | "other-weights"
  | "safetensors"
  | "sentencepiece"
  | "program"
  | "metadata"
  | "utf-16"
  | "utf-32"
  | "text";

export interface BinaryKind {
  readonly kind: FileKind;
  /** With its article. */
  readonly what: string;
  /** What to do about it. */
  readonly advice: string;
  matches(head: Uint8Array): boolean;
}

const another = "give the file that was meant";
const toSafetensors = "it is not read, give the model's safetensors";
const asBase = "it is read as a base by the name FILE.gguf, give that or the model's safetensors";
const toJson = "it is not read, convert it to JSON lines";
const ofTokenizer = "it is read as tokenizer.model, in a folder without tokenizer.json";

/** In this order: a general signature comes after the special ones that begin like it. */
export const binaryKinds: readonly BinaryKind[] = [
  signed("compressed", "a gzip file", "unpack it with gunzip first", "\x1f\x8b"),
  signed("compressed", "a Zstandard file", "unpack it with unzstd first", "\x28\xb5\x2f\xfd"),
  signed("compressed", "an xz file", "unpack it with unxz first", "\xfd7zXZ\0"),
  signed("compressed", "a bzip2 file", "unpack it with bunzip2 first", "BZh", "1AY&SY", 4),
  signed("compressed", "an LZ4 file", "unpack it with unlz4 first", "\x04\x22\x4d\x18"),
  signed("archive", "a 7z archive", "unpack it first", "7z\xbc\xaf\x27\x1c"),
  signed("archive", "a RAR archive", "unpack it first", "Rar!\x1a\x07"),
  signed("archive", "a tar archive", "unpack it with tar -xf first", "", "ustar", 257),
  zipped(
    "torch",
    "a PyTorch checkpoint (a zip with a pickle)",
    "convert it to safetensors",
    /\/(?:data\.pkl|byteorder)/,
  ),
  zipped("numpy", "a NumPy archive (.npz)", toJson, /^[\w./-]{1,100}\.npy/),
  zipped("document", "an office document", toJson, /^(?:\[Content_Types\]|_rels\/|xl\/|word\/|mimetype)/),
  signed("archive", "a zip archive", "unpack it first", "PK\x03\x04"),
  signed("archive", "an empty zip archive", "download or copy it again", "PK\x05\x06"),
  matching(
    "pickle",
    "a Python pickle, which can run code and is not read",
    "convert it to safetensors or JSON",
    (head) => {
      return head[0] === 0x80 && head[1] >= 2 && head[1] <= 5;
    },
  ),
  signed("numpy", "a NumPy array (.npy)", toJson, "\x93NUMPY"),
  signed("image", "a PNG image", another, "\x89PNG\r\n\x1a\n"),
  signed("image", "a JPEG image", another, "\xff\xd8\xff"),
  signed("image", "a GIF image", another, "GIF8"),
  signed("image", "a WebP image", another, "RIFF", "WEBP", 8),
  signed("document", "a PDF document", another, "%PDF-"),
  signed("gguf", "a GGUF file (llama.cpp)", asBase, "GGUF"),
  ...["lmgg", "fmgg", "tjgg", "algg"].map((magic) => {
    return signed("gguf", "a GGML file (llama.cpp)", toSafetensors, magic);
  }),
  signed("parquet", "a parquet file", "it is read as data alone, by --data", "PAR1"),
  signed("table", "an Arrow file", toJson, "ARROW1"),
  signed("table", "an Arrow stream", toJson, "\xff\xff\xff\xff", "\0\0", 6),
  signed("table", "an Avro file", toJson, "Obj\x01"),
  signed("table", "an SQLite database", toJson, "SQLite format 3\0"),
  signed("other-weights", "an HDF5 file (Keras)", toSafetensors, "\x89HDF\r\n\x1a\n"),
  signed("other-weights", "a TensorFlow Lite model", toSafetensors, "", "TFL3", 4),
  matching("sentencepiece", "a SentencePiece model", ofTokenizer, (head) => {
    return head[0] === 0x0a && latin(head, 0, 40).includes("<unk>");
  }),
  signed("program", "a program (ELF)", another, "\x7fELF"),
  signed("program", "a program of Windows", another, "MZ\x90\0"),
  signed("metadata", "a file in which macOS describes another one (._NAME)", another, "\0\x05\x16\x07"),
  signed("metadata", "a .DS_Store file of macOS", another, "\0\0\0\x01Bud1"),
  matching("utf-32", "text in UTF-32", "save it as UTF-8", isUtf32),
  matching("utf-16", "text in UTF-16", "save it as UTF-8", isUtf16),
];

/** Files that begin with `magic` and hold `further`, if any, at byte `offset`. */
function signed(kind: FileKind, what: string, advice: string, magic: string, further = "", offset = 0): BinaryKind {
  return matching(kind, what, advice, (head) => {
    return latin(head, 0, magic.length) === magic && latin(head, offset, further.length) === further;
  });
}

/** Zip files whose first entry's name, and what follows it in the head, has this pattern. */
function zipped(kind: FileKind, what: string, advice: string, pattern: RegExp): BinaryKind {
  return matching(kind, what, advice, (head) => {
    return latin(head, 0, 4) === "PK\x03\x04" && pattern.test(latin(head, 30, head.length));
  });
}

function matching(kind: FileKind, what: string, advice: string, matches: BinaryKind["matches"]): BinaryKind {
  return { kind, what, advice, matches };
}

/** A byte order mark, or ASCII with three zeros on one side of each character. */
function isUtf32(head: Uint8Array): boolean {
  const mark = latin(head, 0, 4);
  if (mark === "\xff\xfe\0\0" || mark === "\0\0\xfe\xff") return true;
  return (
    /^(?:[\t\n\r -~]\0{3}){2,16}/.test(latin(head, 0, 64)) || /^(?:\0{3}[\t\n\r -~]){2,16}/.test(latin(head, 0, 64))
  );
}

/** A byte order mark, or mostly ASCII with a zero on one side of each character. */
function isUtf16(head: Uint8Array): boolean {
  const mark = latin(head, 0, 2);
  if (mark === "\xff\xfe" || mark === "\xfe\xff") return true;
  const pairs = Math.min(head.length, 64) >> 1;
  const count = (side: number) => {
    let ascii = 0;
    for (let i = 0; i < pairs; i++) {
      const [char, zero] = [head[2 * i + side], head[2 * i + 1 - side]];
      if (zero === 0 && (char >= 0x20 || char === 0x0a || char === 0x0d || char === 0x09)) ascii++;
    }
    return ascii;
  };
  return pairs >= 4 && Math.max(count(0), count(1)) === pairs;
}

/** `length` bytes from `offset` on, or as many as there are, one character each. */
function latin(head: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...head.subarray(offset, offset + length));
}
