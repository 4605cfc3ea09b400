/** Tables in text, CSV and TSV: a header, then a record a row. Cells may be quoted and hold line breaks. */
import { pipeline } from "node:stream/promises";
import { CsvError, parse } from "csv-parse";
import { listed, quote } from "../../record_problems.ts";
import type { ByteSource } from "../byte_source.ts";
import type { DataItem } from "../data_item.ts";
import { utf8Bytes } from "../utf8_bytes.ts";

/** More columns are no data set: a header of a million names is made to fill the memory. */
const MAX_COLUMNS = 1000;
/** A row whose quote nothing closes must not fill the memory. */
const MAX_ROW_BYTES = 16_000_000;
const BATCH = 256;

interface ParsedRow {
  readonly record: readonly string[];
  /** `lines`: the line in which the row ends, from 1. */
  readonly info: { readonly lines: number };
}

/** Reads a table row by row. A row of another length than the header is a fault of its own. @throws Error that names the line. */
export async function* tableRows(source: ByteSource, delimiter: string): AsyncGenerator<readonly DataItem[]> {
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
  });
  const feeding = pipeline(utf8Bytes(source), parser);
  feeding.catch(() => {}); // what fails destroys the parser, which throws it below
  let names: readonly string[] | undefined;
  let batch: DataItem[] = [];
  let crlf = 0; // in cells, where the parser counts each as two lines
  try {
    for await (const { record, info } of parser as AsyncIterable<ParsedRow>) {
      crlf += count(record, /\r\n/g);
      if (names === undefined) {
        names = headerOf(record);
        continue;
      }
      batch.push(itemOf(source.path, names, record, info.lines - crlf));
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
  } catch (error) {
    throw error instanceof CsvError ? new Error(describeFault(error), { cause: error }) : error;
  }
  if (batch.length > 0) yield batch;
}

function itemOf(file: string, names: readonly string[], cells: readonly string[], lastLine: number): DataItem {
  const place = { file, line: lastLine - count(cells, /\r\n|\n|\r/g) };
  if (cells.length === names.length)
    return { place, value: Object.fromEntries(names.map((name, i) => [name, cells[i]])) };
  const kind = "number of cells";
  return {
    place,
    fault: { kind, found: `${cells.length} cells`, expected: `${names.length}, one for each name of the header` },
  };
}

const count = (cells: readonly string[], pattern: RegExp): number =>
  cells.reduce((sum, cell) => sum + (cell.match(pattern)?.length ?? 0), 0);

/** @throws Error if names are too many, or two are the same. */
function headerOf(cells: readonly string[]): readonly string[] {
  if (cells.length > MAX_COLUMNS)
    throw new Error(`its header has ${cells.length} names, at most ${MAX_COLUMNS} are read`);
  const names = cells.map((cell, i) => cell.trim() || `Unnamed: ${i}`); // pandas writes its index so
  const twice = names.filter((name, i) => names.indexOf(name) < i);
  if (twice.length > 0)
    throw new Error(`its header names ${listed([...new Set(twice)])} more than once, one column each is needed`);
  return names;
}

const faults: Readonly<Record<string, (line: string) => string>> = {
  CSV_QUOTE_NOT_CLOSED: (line) =>
    `a quote that is opened in ${line} is never closed, the file was cut off or a quote in a text is not doubled`,
  CSV_INVALID_CLOSING_QUOTE: (line) => `${line} has a quote inside a quoted text, write it twice ("")`,
  INVALID_OPENING_QUOTE: (line) =>
    `${line} has a quote inside a text that does not begin with one, put quotes around the text and write those in it twice ("")`,
  CSV_MAX_RECORD_SIZE: (line) => `the row of ${line} is longer than ${MAX_ROW_BYTES} bytes, is a quote never closed`,
};

function describeFault({ code, lines, message }: CsvError & { readonly lines?: number }): string {
  const line = `line ${lines ?? "?"}`;
  return faults[code]?.(line) ?? `${line}: ${quote(message)}`;
}
