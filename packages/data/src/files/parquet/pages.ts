/** The pages of one column of a row group, one after another: nothing is decoded that was not checked. */
import { brotliDecompressSync, crc32, gunzipSync } from "node:zlib";
import type { ColumnMetaData, DecodedArray, PageHeader, SchemaTree } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert } from "hyparquet/src/convert.js";
import { getTreePath, isFlatColumn } from "hyparquet/src/schema.js";
import { compressors } from "hyparquet-compressors";
import type { ByteRanges } from "./byte_ranges.ts";
import { checkHeader, checkPage } from "./page_check.ts";
import { decimalParsers, parsers } from "./plain_values.ts";
import { checkThrift } from "./thrift_check.ts";

/** Headers hold the smallest and the largest value, which may be long texts. */
const HEADER_BYTES = [2 ** 16, 2 ** 24];

type ColumnDecoder = Parameters<typeof convert>[1];

/** Rows of a column that were decoded and not yet taken. */
export interface ColumnPages {
  /** Names from the top, joined by dots. */
  readonly path: string;
  readonly top: string;
  /** Whole rows that can be taken. */
  ready(): number;
  /** Decodes the next page. @throws Error if there is none. */
  fill(): Promise<void>;
  take(count: number): unknown[];
}

/** Opens a column of `rows` rows. @throws Error for pages outside of the file. */
export function openPages(ranges: ByteRanges, column: ColumnMetaData, schema: SchemaTree, rows: number): ColumnPages {
  const path = getTreePath(schema, column.path_in_schema);
  const isFlat = isFlatColumn(path);
  const decoder = decoderOf(column, path);
  const [first, dictionaryAt] = [Number(column.data_page_offset), Number(column.dictionary_page_offset ?? 0n)];
  let at = dictionaryAt > 0 ? Math.min(first, dictionaryAt) : first;
  const end = at + Number(column.total_compressed_size);
  let dictionary: DecodedArray | undefined;
  let values: unknown[] = [];
  let begin = 0;
  let taken = 0;
  const isLast = () => (isFlat ? taken + values.length - begin >= rows : at >= end);
  return {
    path: column.path_in_schema.join("."),
    top: column.path_in_schema[0] ?? "",
    ready: () => Math.max(0, values.length - begin - (isLast() ? 0 : Number(!isFlat))),
    async fill() {
      if (at >= end) throw new Error(`the column ${column.path_in_schema.join(".")} has fewer rows than its group`);
      values = values.slice(begin); // what is nested may go on in the next page
      begin = 0;
      const { header, headerBytes } = await readHeader(ranges, at, end);
      checkHeader(header, { ...column, ...decoder });
      const bytesAt = at + headerBytes;
      at = bytesAt + header.compressed_page_size;
      if (at > end) throw new Error("a page is longer than its column");
      const bytes = await ranges.read(bytesAt, at);
      if (header.crc !== undefined && crc32(bytes) !== header.crc >>> 0)
        throw new Error("a page is damaged, copy it again");
      if (header.type === "INDEX_PAGE") return;
      const page = unfoldedPage(header, bytes, column, decoder);
      const reader = { view: new DataView(page.bytes.buffer, page.bytes.byteOffset, page.bytes.length), offset: 0 };
      const { data } = readPage(reader, page.header, decoder, dictionary, isFlat ? undefined : values, 0);
      if (header.type === "DICTIONARY_PAGE") dictionary = data && convert(data, decoder);
      else if (data && data !== values) values = values.concat(Array.from(data as ArrayLike<unknown>));
    },
    take(count) {
      const some = values.slice(begin, begin + count);
      begin += count;
      taken += count;
      return some;
    },
  };
}

function decoderOf(column: ColumnMetaData, schemaPath: SchemaTree[]): ColumnDecoder {
  const element = schemaPath.at(-1)?.element;
  if (element === undefined) throw new Error("a column has no type");
  const isDecimal = element.converted_type === "DECIMAL" || element.logical_type?.type === "DECIMAL";
  const { logical_type: _, ...bare } = element;
  return {
    pathInSchema: column.path_in_schema,
    type: column.type,
    // What the library would make a rounded number of is read as a date, of which our parser makes text.
    element: isDecimal ? { ...bare, converted_type: "DATE" } : element,
    schemaPath,
    codec: "UNCOMPRESSED",
    parsers: isDecimal ? decimalParsers(element.scale ?? 0) : parsers,
  };
}

async function readHeader(ranges: ByteRanges, at: number, end: number) {
  for (const most of HEADER_BYTES) {
    const bytes = await ranges.read(at, Math.min(at + most, end));
    try {
      checkThrift(bytes);
    } catch (error) {
      if (error instanceof RangeError && bytes.length === most && most !== HEADER_BYTES.at(-1)) continue;
      throw error;
    }
    const reader = { view: new DataView(bytes.buffer), offset: 0 };
    return { header: parquetHeader(reader), headerBytes: reader.offset };
  }
  throw new Error("the header of a page has no end");
}

/** A page as one that was never compressed, checked. */
function unfoldedPage(header: PageHeader, bytes: Uint8Array, column: ColumnMetaData, decoder: ColumnDecoder) {
  const v2 = header.data_page_header_v2;
  const levelBytes = v2 ? v2.repetition_levels_byte_length + v2.definition_levels_byte_length : 0;
  const levels = bytes.subarray(0, levelBytes);
  const isFolded = column.codec !== "UNCOMPRESSED" && v2?.is_compressed !== false;
  const wanted = header.uncompressed_page_size - levelBytes;
  const folded = bytes.subarray(levelBytes, isFolded && wanted === 0 ? levelBytes : undefined); // of nothing some write a byte
  const values = isFolded && wanted > 0 ? unfolded(column.codec, folded, wanted) : folded;
  if (isFolded && values.length !== wanted)
    throw new Error(`a page has ${values.length} bytes, its header says ${wanted}`);
  checkPage(header, { ...column, ...decoder }, levels, values);
  const whole = levelBytes === 0 ? values : Buffer.concat([levels, values]);
  const size = { compressed_page_size: whole.length, uncompressed_page_size: whole.length };
  const plain = v2 && { data_page_header_v2: { ...v2, is_compressed: false } };
  return { bytes: whole, header: { ...header, ...size, ...plain } };
}

function unfolded(codec: ColumnMetaData["codec"], bytes: Uint8Array, length: number): Uint8Array {
  if (codec === "GZIP") return gunzipSync(bytes, { maxOutputLength: length });
  if (codec === "BROTLI") return brotliDecompressSync(bytes, { maxOutputLength: length });
  const unfold = compressors[codec];
  if (unfold === undefined) throw new Error(`the compression ${codec} is not read`);
  return unfold(bytes, length);
}
