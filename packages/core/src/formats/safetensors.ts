/**
 * Safetensors: u64 little-endian header length, JSON header, tensor bytes back to back. Bytes in, bytes out, no files.
 * Format: github.com/huggingface/safetensors. Reading is at least as strict as the Rust library; what is written has
 * the same bytes as the Rust library's (checked against 0.8.0), whose order of `__metadata__` keys is random: ours is sorted.
 */
import { InputError } from "../errors.ts";
import { describeFile } from "./file_kind.ts";
import { formatBytes } from "./format_bytes.ts";
import { isJsonObject } from "./json_fields.ts";
import { parseStrictJson } from "./strict_json.ts";

/** The Rust library's limit. A longer header is damage or an attack, not a model. */
const MAX_HEADER_BYTES = 100_000_000;

/** In the Rust library's order of alignment; the reverse is the order of tensors in a file. */
export const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** A dtype by its name in safetensors files. */
export type TensorDType = keyof typeof elementBytes;

const rank = new Map(Object.keys(elementBytes).map((dtype, i) => [dtype, i]));

/** What a header says of one tensor. `begin` and `end` count from the start of the file; both lie inside it. */
export interface TensorEntry {
  readonly dtype: TensorDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What a safetensors file says before its bytes. */
export interface SafetensorsHeader {
  /** In the order of their bytes. A Map, since a file may call a tensor `__proto__`. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A tensor as a file holds it. */
export interface Tensor {
  readonly dtype: TensorDType;
  readonly shape: readonly number[];
  /** Row-major, little-endian. */
  readonly bytes: Uint8Array;
}

/**
 * Where the header ends, from the first bytes of a file of `fileBytes` bytes, at least 8; call it before making room for the
 * header. Throws an `InputError` that names `path` if the length cannot be true, and says what the file is instead if
 * `head` shows it (`DESCRIBED_BYTES` are enough).
 */
export function safetensorsHeaderEnd(head: Uint8Array, fileBytes: number, path: string): number {
  const wrong = (problem: string) => {
    const other = describeFile(head, fileBytes, "safetensors");
    const isEnough = head.byteLength > 8 || head.byteLength === fileBytes;
    return unreadable(path, isEnough && other ? other.problem : problem);
  };
  if (fileBytes < 8 || head.byteLength < 8) {
    throw wrong(`it has ${fileBytes} bytes, a safetensors file has at least 8: download or copy it again`);
  }
  const headerBytes = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    throw wrong(
      `its header claims ${headerBytes} bytes, at most ${MAX_HEADER_BYTES} are allowed: is this a safetensors file`,
    );
  }
  if (Number(headerBytes) > fileBytes - 8) {
    throw wrong(
      `its header claims ${headerBytes} bytes, ${fileBytes - 8} follow: the file was cut off, download or copy it again`,
    );
  }
  if (head.byteLength > 8 && head[8] !== 0x7b) throw wrong(noBrace);
  return 8 + Number(headerBytes);
}

const noBrace = "its header does not start with {: is this a safetensors file";

/**
 * Reads a header and checks every claim in it against the size of the file: known dtypes, bytes = shape × dtype, tensors
 * back to back without holes or overlap up to the last byte. `head` holds at least the bytes up to the header's end.
 * Throws an `InputError` that names `path` and the first fault.
 */
export function parseSafetensorsHeader(head: Uint8Array, fileBytes: number, path: string): SafetensorsHeader {
  const headerEnd = safetensorsHeaderEnd(head, fileBytes, path);
  if (head.byteLength < headerEnd) {
    throw new RangeError(`Cannot read the header of ${path}: expected ${headerEnd} bytes, got ${head.byteLength}`);
  }
  const entries: [string, TensorEntry][] = [];
  const metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(parseObject(head.subarray(8, headerEnd), path))) {
    if (name !== "__metadata__") {
      entries.push([name, parseEntry(name, value, headerEnd, path)]);
      continue;
    }
    if (!isJsonObject(value)) throw unreadable(path, "__metadata__ in its header is not an object");
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== "string") throw unreadable(path, `__metadata__ key ${quoted(key)} holds no string`);
      metadata.set(key, text);
    }
  }
  const sorted = entries.toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let next = headerEnd;
  for (const [name, { begin, end }] of sorted) {
    if (begin !== next) {
      const found = begin < next ? "overlaps the tensor before it" : "leaves a hole before it";
      throw unreadable(path, `tensor ${quoted(name)} ${found}: it begins at byte ${begin}, expected ${next}`);
    }
    next = end;
  }
  if (next !== fileBytes) {
    const [needed, found] = [next, fileBytes].map((bytes) => `byte ${bytes} (${formatBytes(bytes)})`);
    const problem = next > fileBytes ? "the file was cut off" : "there is more in it than tensors";
    throw unreadable(path, `its tensors end at ${needed}, the file at ${found}: ${problem}, download or copy it again`);
  }
  return { tensors: new Map(sorted), metadata };
}

/** A whole file in memory; the tensors are views of `file`. Throws as `parseSafetensorsHeader` does. */
export function parseSafetensors(
  file: Uint8Array,
  path: string,
): { tensors: Map<string, Tensor>; metadata: ReadonlyMap<string, string> } {
  const { tensors, metadata } = parseSafetensorsHeader(file, file.byteLength, path);
  const views = [...tensors].map(([name, { dtype, shape, begin, end }]): [string, Tensor] => {
    return [name, { dtype, shape, bytes: file.subarray(begin, end) }];
  });
  return { tensors: new Map(views), metadata };
}

/** The file of these tensors. Tensors are ordered by descending dtype alignment, then name; metadata by key. */
export function serializeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const encoder = new TextEncoder();
  const sorted = [...tensors]
    .map(([name, tensor]) => ({ name, tensor, key: encoder.encode(name), rank: rank.get(tensor.dtype) ?? 0 }))
    .toSorted((a, b) => b.rank - a.rank || compareBytes(a.key, b.key));
  // Text is put together by hand: an object would move integer-like names to the front and lose `__proto__`.
  const fields: string[] = [];
  if (metadata !== undefined) {
    const pairs = Object.entries(metadata).toSorted(([a], [b]) => compareBytes(encoder.encode(a), encoder.encode(b)));
    fields.push(
      `"__metadata__":{${pairs.map((pair) => pair.map((text) => JSON.stringify(text)).join(":")).join(",")}}`,
    );
  }
  let dataBytes = 0;
  for (const { name, tensor } of sorted) {
    const { dtype, shape, bytes } = tensor;
    const expected = shape.reduce((product, size) => product * size, elementBytes[dtype]);
    if (name === "__metadata__" || loneSurrogate.test(name) || bytes.byteLength !== expected) {
      const found = `${quoted(name)} ${dtype}[${shape.join(", ")}] has ${bytes.byteLength} bytes`;
      throw new RangeError(`Cannot write tensor ${found}: expected ${expected} and a name of well-formed text`);
    }
    const data_offsets = [dataBytes, (dataBytes += bytes.byteLength)];
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`);
  }
  const header = encoder.encode(`{${fields.join(",")}}`);
  const headerEnd = 8 + Math.ceil(header.byteLength / 8) * 8;
  const file = new Uint8Array(headerEnd + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerEnd - 8), true);
  file.set(header, 8);
  file.fill(0x20, 8 + header.byteLength, headerEnd);
  let at = headerEnd;
  for (const { tensor } of sorted) {
    file.set(tensor.bytes, at);
    at += tensor.bytes.byteLength;
  }
  return file;
}

function parseObject(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  if (bytes[0] !== 0x7b) throw unreadable(path, noBrace);
  let header: unknown;
  try {
    // Not every TextDecoder takes shared memory, hence the copy.
    header = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice()));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? `not valid JSON (${cause.message})` : "not UTF-8";
    throw unreadable(path, `its header is ${reason}`, cause);
  }
  if (!isJsonObject(header)) throw unreadable(path, "its header is not a JSON object");
  return header;
}

function parseEntry(name: string, value: unknown, headerEnd: number, path: string): TensorEntry {
  const fail = (problem: string) => unreadable(path, `tensor ${quoted(name)} ${problem}`);
  if (loneSurrogate.test(name)) throw fail("has a name that is not well-formed text");
  if (!isJsonObject(value)) throw fail("is not described by an object");
  const [dtype, shape, offsets] = ["dtype", "shape", "data_offsets"].map((key) =>
    Object.hasOwn(value, key) ? value[key] : undefined,
  );
  if (!isDType(dtype)) throw fail(`has dtype ${quoted(dtype)}, known are ${[...rank.keys()].join(", ")}`);
  if (!isSizes(shape)) throw fail("has a shape that is not a list of sizes");
  if (!isSizes(offsets) || offsets.length !== 2) throw fail("has data_offsets that are not two byte positions");
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements * 8 > Number.MAX_SAFE_INTEGER) throw fail(`has more elements than can be: [${shape.join(", ")}]`);
  }
  const [begin, end] = offsets;
  const expected = elements * elementBytes[dtype];
  if (end - begin !== expected) {
    throw fail(`is ${dtype}[${shape.join(", ")}], ${expected} bytes, but spans bytes ${begin} to ${end}`);
  }
  return { dtype, shape, begin: headerEnd + begin, end: headerEnd + end };
}

const loneSurrogate = /\p{Surrogate}/u;

function isDType(value: unknown): value is TensorDType {
  return typeof value === "string" && rank.has(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Rust compares names by their UTF-8 bytes, JavaScript by UTF-16 units: they differ beyond U+FFFF. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** Anything from a file, fit for one line of a message. */
function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function unreadable(path: string, problem: string, cause?: unknown): InputError {
  return new InputError(`Cannot read ${path}`, problem, { cause });
}
