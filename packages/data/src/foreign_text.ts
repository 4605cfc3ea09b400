/** Files that are no JSON: says what they are by their first bytes or lines, and the command that makes JSON of them, if there is one. */

import { basename } from "node:path";
import type { FileDescription, FileKind } from "@zerogate/core/formats";
import { iconv, otherForm, python } from "./conversions.ts";
import { tableForm } from "./files/table/separator.ts";
import { listed, quote } from "./record_problems.ts";

/** Describes a text without a line that begins like JSON. */
export function describeForeignText(path: string, lines: readonly string[]): string {
  const [header = ""] = lines;
  const table = tableForm(lines);
  if (table !== undefined) {
    const what = `it is a table (${table.name}) with the columns ${listed(table.columns)}`;
    return `${what}, which is read from a file whose name says so: rename it to ${basename(path).replace(/\.[^.]*$/, "")}.${table.separator === "\t" ? "tsv" : "csv"}`;
  }
  const isText = !/\ufffd|(?!\s)\p{Cc}/u.test(header);
  return otherForm(
    isText ? `it is text that begins with ${quote(header)}` : "it is neither text nor of a kind that is known",
  );
}

/** Says what a file is that is no text in UTF-8, by its first bytes. */
export function describeForeignBytes(path: string, { kind, what, problem }: FileDescription, head: Uint8Array): string {
  const read = (name: string) =>
    python(path, "pandas", `pandas.${name}(sys.argv[1]).to_json(sys.argv[2], orient='records', lines=True)`);
  const commands: Partial<Record<FileKind, string | undefined>> = {
    table: what.includes("Arrow file") ? read("read_feather") : undefined,
    document: what.includes("office") ? read("read_excel") : undefined,
    "utf-16": iconv(path, utf16Name(head)),
    "utf-32": iconv(path, "UTF-32"),
  };
  const command = commands[kind];
  return command === undefined ? problem : `${problem}: ${command}`;
}

/** Without a byte order mark iconv has to be given the order. */
function utf16Name(head: Uint8Array): string {
  const isMarked = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return isMarked ? "UTF-16" : head[1] === 0 ? "UTF-16LE" : "UTF-16BE";
}
