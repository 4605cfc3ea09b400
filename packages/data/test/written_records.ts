/** The same records in every form that is read. */
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { zstdOf } from "./zstd_frames.ts";

type Item = Readonly<Record<string, string>>;

const lines = (items: readonly Item[]): Buffer =>
  Buffer.from(items.map((item) => `${JSON.stringify(item)}\n`).join(""));

function table(items: readonly Item[], separator: string): Buffer {
  const cell = (text: string) => (/[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = [Object.keys(items[0] ?? {}), ...items.map((item) => Object.values(item))];
  return Buffer.from(rows.map((row) => `${row.map(cell).join(separator)}\r\n`).join(""));
}

/** Columns of text, in row groups of 20 rows. */
function parquetOf(items: readonly Item[], rowGroupSize = 20): Buffer {
  const columnData = Object.keys(items[0] ?? {}).map((name) => {
    return { name, data: items.map((item) => item[name] ?? null), type: "STRING" as const, nullable: true };
  });
  return Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize }));
}

/** Files by name. */
export function writtenRecords(items: readonly Item[]): Record<string, Buffer> {
  return {
    "list.json": Buffer.from(JSON.stringify(items)),
    "wrapped.json": Buffer.from(JSON.stringify({ version: "1", data: items })),
    "one_after_another.json": Buffer.from(items.map((item) => JSON.stringify(item, null, 2)).join("\n")),
    "lines.jsonl": lines(items),
    "table.csv": table(items, ","),
    "semicolons.csv": table(items, ";"),
    "table.tsv": table(items, "\t"),
    "rows.parquet": parquetOf(items),
    "lines.jsonl.gz": gzipSync(lines(items)),
    "table.csv.gz": gzipSync(table(items, ",")),
    "lines.jsonl.zst": zstdOf(lines(items)),
  };
}
