/**
 * Checks what a page of a column claims before a library makes arrays of it: a run of a few bytes may stand for a billion
 * values, and a text for the beginning of the one before it, again and again.
 */
import type { PageHeader, SchemaTree } from "hyparquet";
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { readVarInt } from "hyparquet/src/thrift.js";

/** Values of a page: writers make pages of some 20,000, or of a row group of a million. */
const MAX_VALUES = 2 ** 22;
/** Values of a page times how deep each lies in lists and structs: each place is an array. */
const MAX_PLACES = 2 ** 24;
const MAX_PAGE_BYTES = 2 ** 28;
/** Compressed text shrinks to a third or a tenth. */
const MAX_RATIO = 100;
const ALWAYS_ALLOWED = 2 ** 24;

type Encoding = NonNullable<PageHeader["data_page_header"]>["encoding"];

interface Reader {
  readonly view: DataView;
  offset: number;
}

/** A page's column, as the library takes it. */
export interface PageColumn {
  readonly type: string;
  readonly schemaPath: SchemaTree[];
  readonly element: { readonly type_length?: number | undefined };
}

/** Checks sizes that a header claims. @throws Error */
export function checkHeader(header: PageHeader, { schemaPath }: PageColumn): void {
  const { compressed_page_size: folded, uncompressed_page_size: bytes } = header;
  if (!(folded >= 0 && bytes >= 0)) throw new Error("the size of a page is no number");
  if (bytes > MAX_PAGE_BYTES)
    throw new Error(`a page of ${bytes} bytes is claimed, at most ${MAX_PAGE_BYTES} are read`);
  if (bytes > Math.max(ALWAYS_ALLOWED, MAX_RATIO * folded)) {
    throw new Error(`${bytes} bytes are claimed for a page of ${folded}, at most ${MAX_RATIO} times its size are read`);
  }
  const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header;
  const values = v1?.num_values ?? v2?.num_values ?? dictionary?.num_values ?? 0;
  const most = Math.min(MAX_VALUES, dictionary ? MAX_VALUES : Math.floor(MAX_PLACES / schemaPath.length));
  if (!(values >= 0 && values <= most))
    throw new Error(`${values} values of a page are claimed, at most ${most} are read`);
  if (v2) {
    const { num_nulls: nulls, definition_levels_byte_length: d, repetition_levels_byte_length: r } = v2;
    const isRight = nulls >= 0 && nulls <= values && d >= 0 && r >= 0 && d + r <= Math.min(folded, bytes);
    if (!isRight) throw new Error("the parts of a page are longer than the page");
  }
}

/** Checks the levels and values of a data page, unfolded. @throws Error */
export function checkPage(header: PageHeader, column: PageColumn, levels: Uint8Array, values: Uint8Array): void {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const { schemaPath } = column;
  const widths = [getMaxRepetitionLevel(schemaPath), getMaxDefinitionLevel(schemaPath)].map(
    (most) => 32 - Math.clz32(most),
  );
  if (v2) {
    const reader = readerOf(levels);
    const ends = [v2.repetition_levels_byte_length, levels.length];
    for (const [i, width] of widths.entries()) {
      if (width > 0) checkRuns(reader, width, v2.num_values, ends[i] ?? 0);
      reader.offset = ends[i] ?? 0;
    }
    checkValues(readerOf(values), v2.encoding, v2.num_values - v2.num_nulls, column);
  } else if (v1) {
    const reader = readerOf(values);
    for (const width of widths) if (width > 0) checkRuns(reader, width, v1.num_values, endOf(reader));
    checkValues(reader, v1.encoding, v1.num_values, column);
  }
}

/** What they make is as long as the page, or as its number of values. */
const plainEncodings: readonly Encoding[] = ["PLAIN", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY"];

const readerOf = (bytes: Uint8Array): Reader => ({
  view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  offset: 0,
});

function checkValues(reader: Reader, encoding: Encoding, count: number, column: PageColumn): void {
  const { type, element } = column;
  const left = reader.view.byteLength - reader.offset;
  if (encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY") {
    if (left > 0) checkRuns(reader, reader.view.getUint8(reader.offset++), count, reader.view.byteLength);
  } else if (encoding === "RLE") {
    if (type !== "BOOLEAN") throw new Error(`the encoding RLE is for booleans, the column is ${type}`);
    checkRuns(reader, 1, count, endOf(reader));
  } else if (encoding === "DELTA_BYTE_ARRAY") {
    checkBeginnings(reader, count);
  } else if (encoding === "BYTE_STREAM_SPLIT") {
    if ((element.type_length ?? 0) * count > left) throw new Error("numbers of a page are longer than the page");
  } else if (!plainEncodings.includes(encoding)) {
    throw new Error(`the encoding ${encoding} is not read`);
  }
}

/** Reads the length that stands before runs, and returns where they end. */
function endOf(reader: Reader): number {
  const length = reader.view.getUint32(reader.offset, true);
  reader.offset += 4;
  return reader.offset + length;
}

/** Runs of levels or of numbers of a dictionary: none may stand for more values than the page has. */
function checkRuns(reader: Reader, width: number, count: number, end: number): void {
  if (width > 32) throw new Error(`values of ${width} bits are claimed, at most 32 are read`);
  if (end > reader.view.byteLength) throw new Error("levels of a page are longer than the page");
  for (let seen = 0; seen < count && reader.offset < end; ) {
    const run = readVarInt(reader);
    const isPacked = (run & 1) === 1;
    const length = isPacked ? (run >>> 1) * 8 : run >>> 1;
    const spare = isPacked ? 2 ** 12 : 0; // packed ones come by eights, and some writers fill up more
    if (length > count - seen + spare)
      throw new Error(`a run of ${length} values, ${count - seen} are left of the page`);
    reader.offset += isPacked ? (run >>> 1) * width : (width + 7) >> 3;
    seen += length;
  }
  reader.offset = end;
}

/** Texts that begin as the one before: together they may not be longer than a page, nor begin with more than there is. */
function checkBeginnings(reader: Reader, most: number): void {
  const { view, offset } = reader;
  const head = { view, offset };
  for (let i = 0; i < 2; i++) readVarInt(head);
  const count = Math.min(most, Math.max(0, readVarInt(head))); // without the nulls
  const [begins, rests] = [new Int32Array(count), new Int32Array(count)];
  deltaBinaryUnpack(reader, count, begins);
  deltaBinaryUnpack(reader, count, rests);
  let total = 0;
  let before = 0;
  for (let i = 0; i < count; i++) {
    const [begin, rest] = [begins[i] ?? 0, rests[i] ?? 0];
    if (begin < 0 || rest < 0 || begin > before)
      throw new Error("a text begins with more of the one before than there is");
    before = begin + rest;
    total += before;
    if (total > MAX_PAGE_BYTES) throw new Error(`texts of a page become more than ${MAX_PAGE_BYTES} bytes`);
  }
}
