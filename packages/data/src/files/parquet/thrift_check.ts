/**
 * Checks the bytes of a Thrift struct (compact protocol) before a library makes objects of them: lists of a billion elements and
 * structs in structs without end cost a few bytes each.
 */

const MAX_DEPTH = 24;
/** Types of the compact protocol. */
const [TRUE, FALSE, BYTE, I64, DOUBLE, BINARY, LIST, SET, STRUCT] = [1, 2, 3, 6, 7, 8, 9, 10, 12];

/** Returns the bytes of the struct at `begin`. @throws RangeError if it does not end within the bytes, Error if it is no struct. */
export function checkThrift(bytes: Uint8Array, begin = 0): number {
  const at = { bytes, offset: begin };
  skipStruct(at, 0);
  return at.offset - begin;
}

interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
}

function skipStruct(at: Cursor, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error(`structs are nested more than ${MAX_DEPTH} deep`);
  for (;;) {
    const byte = next(at);
    const type = byte & 0x0f;
    if (type === 0) return;
    if (byte >> 4 === 0) varint(at); // the number of the field
    if (type !== TRUE && type !== FALSE) skipValue(at, type, depth);
  }
}

function skipValue(at: Cursor, type: number, depth: number): void {
  if (type === TRUE || type === FALSE || type === BYTE) next(at);
  else if (type > BYTE && type <= I64) varint(at);
  else if (type === DOUBLE) skip(at, 8);
  else if (type === BINARY) skip(at, varint(at));
  else if (type === LIST || type === SET) skipList(at, depth + 1);
  else if (type === STRUCT) skipStruct(at, depth + 1);
  else throw new Error(`a field is of type ${type}, which parquet does not have`);
}

function skipList(at: Cursor, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error(`lists are nested more than ${MAX_DEPTH} deep`);
  const byte = next(at);
  const size = byte >> 4 === 15 ? varint(at) : byte >> 4;
  const left = at.bytes.length - at.offset;
  if (size > left) throw new Error(`a list of ${size} elements is claimed, ${left} bytes are left`);
  for (let i = 0; i < size; i++) skipValue(at, byte & 0x0f, depth);
}

function next(at: Cursor): number {
  const byte = at.bytes[at.offset++];
  if (byte === undefined) throw new RangeError("it ends in the middle");
  return byte;
}

function skip(at: Cursor, bytes: number): void {
  if (bytes > at.bytes.length - at.offset) throw new RangeError("it ends in the middle");
  at.offset += bytes;
}

/** At most ten bytes; large numbers lose their last bits, which only lengths would need. */
function varint(at: Cursor): number {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = next(at);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value;
  }
  throw new Error("a number has more than ten bytes");
}
