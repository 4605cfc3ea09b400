/**
 * Zip files whose entries are stored, not compressed, as torch writes them. Format: PKWARE's APPNOTE 6.3.10.
 *
 * No library: what torch files need is reading entries by position, and what safety needs is to refuse what libraries
 * forgive: compressed entries (a bomb cannot unfold), two entries of one name, entries that overlap, bytes after the end.
 */
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte_source.ts";
import { crc32 } from "./crc32.ts";

/** A 65 B checkpoint has some 2,000 entries. */
const MAX_ENTRIES = 100_000;
const MAX_DIRECTORY_BYTES = 32 * 2 ** 20;

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const END64_LOCATOR = 0x07064b50;
const [LOCAL_BYTES, CENTRAL_BYTES, END_BYTES, END64_BYTES, LOCATOR_BYTES] = [30, 46, 22, 56, 20];

const ENCRYPTED = 1;

/** An entry as the directory at the end of the file describes it. */
export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  /** 0 if none was computed, see `readZipEntry`. */
  readonly crc32: number;
  /** Of its local header. */
  readonly begin: number;
  /** Where the next entry, or the directory, begins. */
  readonly limit: number;
}

/** Does this file begin as a zip does? */
export function isZip(head: Uint8Array): boolean {
  return head.byteLength >= 4 && view(head).getUint32(0, true) === LOCAL_HEADER;
}

/** The entries by name. Throws an `InputError` on anything that a writer of stored entries does not write. */
export async function readZipDirectory(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const { begin, end, count } = await findDirectory(source);
  const directory = await source.read(begin, end);
  const data = view(directory);
  const found: Omit<ZipEntry, "limit">[] = [];
  let at = 0;
  while (at < directory.byteLength) {
    if (at + CENTRAL_BYTES > directory.byteLength || data.getUint32(at, true) !== CENTRAL_HEADER) {
      throw damaged(source, `its directory is damaged at byte ${begin + at}`);
    }
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => data.getUint16(at + field, true));
    const next = at + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > directory.byteLength) throw damaged(source, `its directory is damaged at byte ${begin + at}`);
    const name = decodeName(directory.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes), source);
    if (data.getUint16(at + 8, true) & ENCRYPTED) throw damaged(source, `${quoted(name)} is encrypted`);
    const method = data.getUint16(at + 10, true);
    if (method !== 0) {
      throw damaged(source, `${quoted(name)} is compressed (method ${method}), torch stores: save it with torch.save`);
    }
    const extraAt = at + CENTRAL_BYTES + nameBytes;
    const sizes = entrySizes(data, at, directory.subarray(extraAt, extraAt + extraBytes));
    if (sizes === undefined || sizes.stored !== sizes.bytes) throw damaged(source, `${quoted(name)} has no sound size`);
    found.push({ name, bytes: sizes.bytes, crc32: data.getUint32(at + 16, true), begin: sizes.begin });
    at = next;
  }
  if (found.length !== count) throw damaged(source, `its directory has ${found.length} entries and claims ${count}`);
  return withLimits(found, begin, source);
}

/** Where the bytes of an entry lie. The local header must agree with the directory; throws an `InputError` otherwise. */
export async function findZipData(source: ByteSource, entry: ZipEntry): Promise<{ begin: number; end: number }> {
  const { name, begin, limit, bytes } = entry;
  const fail = (problem: string) => damaged(source, `${quoted(name)} ${problem}`);
  const head = view(await source.read(begin, begin + LOCAL_BYTES));
  if (head.getUint32(0, true) !== LOCAL_HEADER) throw fail(`has no header at byte ${begin}`);
  const [nameBytes, extraBytes] = [head.getUint16(26, true), head.getUint16(28, true)];
  const data = begin + LOCAL_BYTES + nameBytes + extraBytes;
  if (data + bytes > limit) throw fail("overlaps what follows it");
  const localName = decodeName(await source.read(begin + LOCAL_BYTES, begin + LOCAL_BYTES + nameBytes), source);
  if (localName !== name || head.getUint16(8, true) !== 0) throw fail("has a header that contradicts the directory");
  return { begin: data, end: data + bytes };
}

/**
 * The bytes of an entry, which must have the CRC-32 that the directory says; a CRC of 0 means none, which torch writes after
 * `torch.serialization.set_crc32_options(False)`. Throws an `InputError` otherwise.
 */
export async function readZipEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const { begin, end } = await findZipData(source, entry);
  const content = await source.read(begin, end);
  if (entry.crc32 !== 0 && crc32(content) !== entry.crc32) {
    throw damaged(source, `${quoted(entry.name)} does not match its CRC-32: the file was damaged, copy it again`);
  }
  return content;
}

/** Offset of the directory. It must be the last thing in the file but for the end records, which have no comment. */
async function findDirectory(source: ByteSource): Promise<{ begin: number; end: number; count: number }> {
  const cutOff = "it has no zip directory at its end: the file was cut off, or something was appended";
  if (source.bytes < END_BYTES) throw damaged(source, cutOff);
  const tailBytes = Math.min(source.bytes, END_BYTES + LOCATOR_BYTES + END64_BYTES);
  const tail = view(await source.read(source.bytes - tailBytes, source.bytes));
  const endAt = tailBytes - END_BYTES;
  if (tail.getUint32(endAt, true) !== END || tail.getUint16(endAt + 20, true) !== 0) throw damaged(source, cutOff);
  let directory = {
    count: tail.getUint16(endAt + 10, true),
    size: tail.getUint32(endAt + 12, true),
    begin: tail.getUint32(endAt + 16, true),
    end: source.bytes - END_BYTES,
  };
  const locatorAt = endAt - LOCATOR_BYTES;
  if (locatorAt >= END64_BYTES && tail.getUint32(locatorAt, true) === END64_LOCATOR) {
    if (tail.getUint32(0, true) !== END64) throw damaged(source, "its zip64 end record is not where it should be");
    directory = {
      count: Number(tail.getBigUint64(32, true)),
      size: Number(tail.getBigUint64(40, true)),
      begin: Number(tail.getBigUint64(48, true)),
      end: source.bytes - tailBytes,
    };
  }
  const { begin, size, count } = directory;
  if (begin + size !== directory.end) throw damaged(source, "its directory is not where its end record says");
  if (size > MAX_DIRECTORY_BYTES || count > MAX_ENTRIES) {
    throw damaged(source, `its directory claims ${count} entries in ${size} bytes, at most ${MAX_ENTRIES} are read`);
  }
  return { begin, end: directory.end, count };
}

/** Sizes and place; those that do not fit into 32 bits stand in the extra field of id 1, in this order. */
function entrySizes(
  data: DataView,
  at: number,
  extra: Uint8Array,
): { bytes: number; stored: number; begin: number } | undefined {
  const long: number[] = [];
  for (let i = 0; i + 4 <= extra.byteLength; ) {
    const [id, length] = [view(extra).getUint16(i, true), view(extra).getUint16(i + 2, true)];
    if (i + 4 + length > extra.byteLength) return undefined;
    const end = id === 1 ? i + 4 + length : 0;
    for (let at64 = i + 4; at64 + 8 <= end; at64 += 8) long.push(Number(view(extra).getBigUint64(at64, true)));
    i += 4 + length;
  }
  const field = (offset: number) => {
    const short = data.getUint32(at + offset, true);
    return short === 0xffffffff ? (long.shift() ?? Number.NaN) : short;
  };
  const [bytes, stored, begin] = [field(24), field(20), field(42)];
  return [bytes, stored, begin].every(Number.isSafeInteger) ? { bytes, stored, begin } : undefined;
}

function withLimits(
  found: readonly Omit<ZipEntry, "limit">[],
  directoryBegin: number,
  source: ByteSource,
): Map<string, ZipEntry> {
  const sorted = found.toSorted((a, b) => a.begin - b.begin);
  const entries = new Map<string, ZipEntry>();
  for (const [i, entry] of sorted.entries()) {
    const limit = sorted[i + 1]?.begin ?? directoryBegin;
    // The header of the entry itself is seen when it is read; this much is certain.
    if (entry.begin + LOCAL_BYTES + entry.bytes > limit) {
      throw damaged(source, `${quoted(entry.name)} overlaps what follows it`);
    }
    if (entries.has(entry.name)) throw damaged(source, `it has two entries called ${quoted(entry.name)}`);
    entries.set(entry.name, { ...entry, limit });
  }
  return entries;
}

function decodeName(bytes: Uint8Array, source: ByteSource): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw damaged(source, "the name of an entry is not UTF-8");
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

function damaged(source: ByteSource, problem: string): InputError {
  return new InputError(`Cannot read ${source.path}`, problem);
}
