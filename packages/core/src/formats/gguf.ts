/**
 * GGUF, versions 2 and 3, little-endian: magic, version, counts, metadata, tensor infos, then data that begins at a multiple of
 * `general.alignment`. Bytes in, no files. Format: github.com/ggml-org/ggml, docs/gguf.md; a file is checked at least as
 * `gguf_init_from_file` of llama.cpp checks it, and every size against the file's before anything is made of it.
 */
import { InputError } from "../errors.ts";
import { describeFile } from "./file_kind.ts";
import { formatBytes } from "./format_bytes.ts";
import { type GgmlType, ggmlTypes, otherGgmlTypes } from "./gguf_types.ts";
import { type GgufValue, HeaderEnds, type ValueCursor, valueCursor } from "./gguf_values.ts";

/** The largest tokenizers in use take 20 MB. A longer header is damage or an attack. */
const MAX_HEADER_BYTES = 64 * 2 ** 20;
const MAX_ALIGNMENT = 2 ** 20;
const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 4;

/** A tensor of a GGUF file. `begin` and `end` count from the start of the file; both lie inside it. */
export interface GgufTensor {
  readonly type: GgmlType;
  /** Slowest first, as in PyTorch: the reverse of the file's order. */
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What a GGUF file says before its data. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/**
 * Reads the header of a file of `fileBytes` bytes, of which `head` holds the first ones. Returns undefined if the header goes on
 * behind them: call again with more.
 * @throws InputError that names `path` and the first fault.
 */
export function parseGgufHeader(head: Uint8Array, fileBytes: number, path: string): GgufHeader | undefined {
  const fail = (problem: string, cause?: unknown) => new InputError(`Cannot read ${path}`, problem, { cause });
  if (head.byteLength < Math.min(fileBytes, 24)) return undefined;
  try {
    return readHeader(head, fileBytes, fail);
  } catch (error) {
    if (!(error instanceof HeaderEnds)) throw error;
    if (head.byteLength === fileBytes) {
      throw fail(`its header goes on behind its end at byte ${fileBytes}: it was cut off, download or copy it again`);
    }
    if (head.byteLength < MAX_HEADER_BYTES) return undefined;
    throw fail(`its header has more than ${MAX_HEADER_BYTES} bytes, which no model needs: is this a GGUF file`);
  }
}

type Fail = (problem: string, cause?: unknown) => InputError;

function readHeader(head: Uint8Array, fileBytes: number, fail: Fail): GgufHeader {
  const cursor = valueCursor(head, fail);
  if (head[0] !== 0x47 || head[1] !== 0x47 || head[2] !== 0x55 || head[3] !== 0x46) {
    const other = describeFile(head, fileBytes, "gguf");
    throw fail(other?.problem ?? "it does not begin with GGUF: is this a GGUF file");
  }
  cursor.skip(4);
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    const isSwapped = version > 0xffff && version % 0x10000 === 0;
    throw fail(
      isSwapped
        ? "its numbers are big-endian, needed are little-endian ones: convert it with gguf_convert_endian.py"
        : `it has version ${version} of the format, read are 2 and 3: convert the model again`,
    );
  }
  const [tensorCount, valueCount] = [cursor.count(), cursor.count()];
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.string();
    if (metadata.has(key)) throw fail(`its metadata has ${quoted(key)} twice`);
    metadata.set(key, cursor.value(key));
  }
  const infos = Array.from({ length: cursor.atMost(tensorCount) }, () => readInfo(cursor, fail));
  const tensors = placeTensors(
    infos,
    { headerEnd: cursor.at(), fileBytes, alignment: alignmentOf(metadata, fail) },
    fail,
  );
  return { metadata, tensors };
}

interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: GgmlType;
  readonly bytes: number;
  readonly offset: number;
}

function readInfo(cursor: ValueCursor, fail: Fail): TensorInfo {
  const name = cursor.string();
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw fail(`tensor ${quoted(name)} has ${dimensions} dimensions, needed are 1 to ${MAX_DIMENSIONS}`);
  }
  const fastestFirst = Array.from({ length: dimensions }, () => cursor.count());
  const shape = fastestFirst.toReversed();
  const number = cursor.u32();
  const type = ggmlTypes.get(number);
  if (type === undefined) {
    const found = otherGgmlTypes.get(number) ?? `of the unknown type ${number}`;
    const read = [...ggmlTypes.values()].map((known) => known.name).join(", ");
    throw fail(`tensor ${quoted(name)} is ${found}, read are ${read}: use a file of one of them`);
  }
  const numbers = shape.reduce((product, size) => product * size, 1);
  if (!(numbers > 0) || numbers * 8 > Number.MAX_SAFE_INTEGER) {
    throw fail(`tensor ${quoted(name)} has a size that cannot be: [${shape.join(", ")}]`);
  }
  const [columns = 1] = fastestFirst;
  if (columns % type.blockNumbers > 0) {
    throw fail(
      `tensor ${quoted(name)} is ${type.name}[${shape.join(", ")}], whose rows are no multiple of ${type.blockNumbers} numbers`,
    );
  }
  return { name, shape, type, bytes: (numbers / type.blockNumbers) * type.blockBytes, offset: cursor.count() };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, fail: Fail): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (
    typeof alignment === "number" &&
    Number.isInteger(Math.log2(alignment)) &&
    alignment <= MAX_ALIGNMENT &&
    alignment > 0
  )
    return alignment;
  throw fail(`general.alignment is ${JSON.stringify(alignment)}, needed is a power of two up to ${MAX_ALIGNMENT}`);
}

/** Tensors lie in the order of their infos, each at the next multiple of the alignment, up to the end of the file. */
function placeTensors(
  infos: readonly TensorInfo[],
  { headerEnd, fileBytes, alignment }: { headerEnd: number; fileBytes: number; alignment: number },
  fail: Fail,
): ReadonlyMap<string, GgufTensor> {
  const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment;
  const dataBegin = aligned(headerEnd);
  const tensors = new Map<string, GgufTensor>();
  let next = 0;
  let end = headerEnd;
  for (const { name, shape, type, bytes, offset } of infos) {
    if (tensors.has(name)) throw fail(`it has two tensors called ${quoted(name)}`);
    if (offset !== next) throw fail(`tensor ${quoted(name)} begins at ${offset} of the data, expected is ${next}`);
    next = aligned(offset + bytes);
    const begin = dataBegin + offset;
    end = begin + bytes;
    tensors.set(name, { type, shape, begin, end });
  }
  if (end > fileBytes) {
    const sizes = [end, fileBytes].map((size) => `byte ${size} (${formatBytes(size)})`);
    throw fail(`its tensors end at ${sizes[0]}, the file at ${sizes[1]}: it was cut off, download or copy it again`);
  }
  const last = Math.max(aligned(end), headerEnd);
  if (fileBytes > last)
    throw fail(`its tensors end at byte ${end}, and ${fileBytes - end} bytes follow: download or copy it again`);
  return tensors;
}

/** A name from a file, fit for one line of a message. */
const quoted = (name: string): string => JSON.stringify(name.slice(0, 200));
