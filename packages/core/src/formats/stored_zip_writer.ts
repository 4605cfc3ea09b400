/** Writes zip files of stored entries, see `stored_zip.ts`. */
import { crc32 } from "./crc32.ts";

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const [LOCAL_BYTES, CENTRAL_BYTES, END_BYTES] = [30, 46, 22];

/** Stored entries in the given order, each beginning at a multiple of `alignment`, padded as torch pads. No dates. */
export function serializeStoredZip(entries: ReadonlyMap<string, Uint8Array>, alignment: number): Uint8Array {
  const encoder = new TextEncoder();
  const chunks: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const push = (chunk: Uint8Array) => {
    chunks.push(chunk);
    at += chunk.byteLength;
  };
  for (const [name, bytes] of entries) {
    const nameBytes = encoder.encode(name);
    const begin = at;
    // An extra field of id "FB" moves the data to its place; it has 4 bytes at least.
    const unpadded = at + LOCAL_BYTES + nameBytes.byteLength + 4;
    const padding = 4 + ((alignment - (unpadded % alignment)) % alignment);
    const fields = { crc: crc32(bytes), bytes: bytes.byteLength, name: nameBytes };
    push(header(LOCAL_HEADER, LOCAL_BYTES, fields, padding));
    push(extraField(padding));
    push(bytes);
    directory.push(header(CENTRAL_HEADER, CENTRAL_BYTES, fields, 0, begin));
  }
  const directoryBegin = at;
  for (const chunk of directory) push(chunk);
  if (at > 0xffffffff - END_BYTES || entries.size > 0xfffe) {
    throw new RangeError(`Cannot write a zip of ${at} bytes and ${entries.size} entries: at most 4 GiB and 65534`);
  }
  const end = view(new Uint8Array(END_BYTES));
  end.setUint32(0, END, true);
  end.setUint16(8, entries.size, true);
  end.setUint16(10, entries.size, true);
  end.setUint32(12, at - directoryBegin, true);
  end.setUint32(16, directoryBegin, true);
  push(new Uint8Array(end.buffer));
  const file = new Uint8Array(at);
  let offset = 0;
  for (const chunk of chunks) {
    file.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return file;
}

/** Local and central headers share their fields; the central one has two bytes more in front of them and an offset. */
function header(
  signature: number,
  size: number,
  fields: { crc: number; bytes: number; name: Uint8Array },
  extraBytes: number,
  begin = 0,
): Uint8Array {
  const bytes = new Uint8Array(size + fields.name.byteLength);
  const data = view(bytes);
  data.setUint32(0, signature, true);
  const at = signature === CENTRAL_HEADER ? 6 : 4;
  data.setUint16(at, 20, true); // version needed: 2.0
  data.setUint16(at + 2, 0x800, true); // names are UTF-8
  data.setUint32(at + 10, fields.crc, true);
  data.setUint32(at + 14, fields.bytes, true);
  data.setUint32(at + 18, fields.bytes, true);
  data.setUint16(at + 22, fields.name.byteLength, true);
  data.setUint16(at + 24, extraBytes, true);
  if (signature === CENTRAL_HEADER) data.setUint32(42, begin, true);
  bytes.set(fields.name, size);
  return bytes;
}

function extraField(bytes: number): Uint8Array {
  const field = new Uint8Array(bytes);
  field.set([0x46, 0x42]); // "FB"
  view(field).setUint16(2, bytes - 4, true);
  return field;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
