/** Whether a text is a table, and what stands between its cells. */
import { dataName } from "../data_name.ts";

const forms: Readonly<Record<string, string>> = { ",": "CSV", "\t": "TSV", ";": "CSV with semicolons" };

/** What a text that is no JSON looks like, if its first line can be a header. */
export interface TableForm {
  /** `CSV`, `TSV` or `CSV with semicolons`. */
  readonly name: string;
  readonly separator: string;
  readonly columns: readonly string[];
}

/** Recognises a table by its first two lines; undefined if the first can be no header. */
export function tableForm([header = "", next = ""]: readonly string[]): TableForm | undefined {
  for (const [separator, name] of Object.entries(forms)) {
    const columns = header.split(separator).map((cell) => cell.trim().replaceAll(/^"|"$/g, ""));
    const isHeader = columns.length > 1 && columns.every((cell) => /^[\w .()/-]{0,40}$/.test(cell));
    if (isHeader && next.includes(separator)) return { name, separator, columns };
  }
  return undefined;
}

/**
 * Returns what separates the cells of a file, by its name (`.csv`, `.tsv`) and first bytes, or by these alone if the name says
 * nothing; undefined if it is no table.
 */
export function separatorOf(path: string, start: string): string | undefined {
  const name = dataName(path);
  if (name === "tsv" || name === "tab") return "\t";
  const lines = start.split(/\r?\n/, 2);
  if (name === "csv") return commonest(lines[0] ?? "");
  return name === "json" || name === "jsonl" || name === "ndjson" ? undefined : tableForm(lines)?.separator;
}

/** The separator that a header has most of, outside of quotes; a comma if it has none. */
function commonest(header: string): string {
  const bare = header.replaceAll(/"[^"]*"/g, "");
  const counts = Object.keys(forms).map((separator) => ({ separator, count: bare.split(separator).length }));
  return counts.reduce((a, b) => (b.count > a.count ? b : a)).separator;
}
