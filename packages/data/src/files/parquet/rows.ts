/** Parquet files row by row: of a row group a page of each column is in memory, and only the columns that are needed. */
import type { DecodedArray, RowGroup, SchemaTree } from "hyparquet";
import { assembleNested } from "hyparquet/src/assemble.js";
import type { ByteSource } from "../byte_source.ts";
import type { DataItem, DataItems } from "../data_item.ts";
import { countUnfolded } from "../fold/fold.ts";
import { type ByteRanges, openRanges } from "./byte_ranges.ts";
import { type ParquetFile, readMetadata } from "./metadata.ts";
import { type ColumnPages, openPages } from "./pages.ts";
import { parsers, plainValue } from "./plain_values.ts";

/** Rows at a time. */
const BATCH = 1000;

/** A file of rows, and the columns that are not read. */
export interface ParquetRows {
  readonly items: DataItems;
  /** How many of the rows were given, from 0 to 1. */
  share(): number;
  readonly names: readonly string[];
  readonly unread: readonly string[];
}

/**
 * Opens a parquet file.
 * @param choose returns the columns that are needed; without one all are read.
 * @throws Error that says what is wrong with it
 */
export async function openParquet(
  source: ByteSource,
  choose: (names: readonly string[]) => readonly string[],
): Promise<ParquetRows> {
  const ranges = await openRanges(source);
  try {
    const file = await readMetadata(ranges);
    const names = file.schema.children.map(({ element }) => element.name);
    const chosen = choose(names);
    const wanted = chosen.length === 0 ? names : chosen;
    const unread = names.filter((name) => !wanted.includes(name));
    const done = { rows: 0 };
    const all = Number(file.metadata.num_rows);
    const share = () => (all > 0 ? Math.min(1, done.rows / all) : 1);
    return { items: rowsOf(source, ranges, file, wanted, done), share, names, unread };
  } catch (error) {
    await ranges.close();
    throw damaged(error);
  }
}

const damaged = (cause: unknown): Error =>
  new Error(`it is a parquet file that cannot be read (${(cause as Error).message})`, { cause });

async function* rowsOf(
  { path }: ByteSource,
  ranges: ByteRanges,
  { metadata, schema }: ParquetFile,
  wanted: readonly string[],
  done: { rows: number },
): AsyncGenerator<readonly DataItem[]> {
  const count = countUnfolded(ranges.length, "its rows");
  const columns = schema.children.filter(({ element }) => wanted.includes(element.name));
  try {
    for (const group of metadata.row_groups) {
      for await (const rows of groupRows(ranges, group, schema, columns)) {
        const first = done.rows;
        done.rows += rows.length;
        yield rows.map(
          (row, i): DataItem => ({ place: { file: path, index: first + i }, value: plainValue(row, count) }),
        );
      }
    }
  } catch (error) {
    throw damaged(error);
  } finally {
    await ranges.close();
  }
}

async function* groupRows(
  ranges: ByteRanges,
  group: RowGroup,
  schema: SchemaTree,
  columns: readonly SchemaTree[],
): AsyncGenerator<readonly unknown[]> {
  let left = Number(group.num_rows);
  const pages = openColumns(ranges, group, schema, columns);
  while (left > 0) {
    for (const column of pages) while (column.ready() === 0) await column.fill();
    const count = Math.min(BATCH, left, ...pages.map((column) => column.ready()));
    const taken = new Map(pages.map((column) => [column.path, column.take(count) as DecodedArray]));
    const whole = columns.map((column) => {
      if (column.children.length > 0) assembleNested(taken, column, parsers);
      return [column.element.name, taken.get(column.path.join(".")) ?? []] as const;
    });
    yield Array.from({ length: count }, (_, i) => Object.fromEntries(whole.map(([name, values]) => [name, values[i]])));
    left -= count;
  }
}

function openColumns(
  ranges: ByteRanges,
  { columns: parts, num_rows: rows }: RowGroup,
  schema: SchemaTree,
  columns: readonly SchemaTree[],
): ColumnPages[] {
  const names = columns.map(({ element }) => element.name);
  const opened = parts.flatMap(({ meta_data: column, file_path: elsewhere, crypto_metadata: locked }) => {
    if (column === undefined || locked !== undefined) throw new Error("a column is encrypted or not described");
    if (elsewhere) throw new Error("its columns are in other files");
    return names.includes(column.path_in_schema[0] ?? "") ? [openPages(ranges, column, schema, Number(rows))] : [];
  });
  const found = new Set(opened.map(({ top }) => top));
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0 || new Set(opened.map(({ path }) => path)).size < opened.length) {
    throw new Error(`a row group lacks the column ${missing.join(", ")} or has one twice`);
  }
  return opened;
}
