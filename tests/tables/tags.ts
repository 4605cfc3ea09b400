/** Which tests say that they cover which rows of the tables, as their sources spell the titles. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../../", import.meta.url));

export interface Tagged {
  /** From the root of the repository. */
  readonly file: string;
  /** Title without its tag; `…` stands for what the test fills in. */
  readonly title: string;
  readonly ids: readonly string[];
  /** Whether this is the title of that test or suite. */
  matches(fullTitle: string): boolean;
}

/** `P7` is a row of docs/parity.md, `T-B3` or `T-case09` one of docs/field_cases.md, `V2` one of docs/image_cases.md, `M-qwen3` one of docs/models.md, `D-chat-qwen3` one of docs/data_forms.md, `S-top_p` one of docs/serving_api.md. */
const id = String.raw`(?:[A-FLPV]\d{1,2}|T-[A-E]\d{1,2}|T-case\d{2}|[DMS]-[a-z0-9][a-z0-9_]*(?:-[a-z0-9_]+)*)`;
const tag = String.raw`\[(${id}(?:, ${id})*)\]`;
/** A text in quotes on one line that holds a tag. */
const taggedText = new RegExp(String.raw`(["'\`])((?:\\.|(?!\1)[^\\\n])*?)${tag}((?:\\.|(?!\1)[^\\\n])*)\1`, "g");
/** What vitest or the source fills into a title. */
const filledIn = /\$\{[^}]*\}|\$[\w.]+|%[sdijfo]/g;

/** All tagged titles of the repository's tests, by file. */
export async function readTags(): Promise<Tagged[]> {
  const files: string[] = [];
  for (const folder of ["packages", "tests"]) {
    const entries = await readdir(join(root, folder), { recursive: true });
    for (const entry of entries) files.push(`${folder}/${entry.replaceAll("\\", "/")}`);
  }
  const sources = files.filter((file) => /^(tests|packages\/[^/]+\/(src|test))\/.*\.ts$/.test(file)).toSorted();
  const found: Tagged[] = [];
  for (const file of sources.filter((source) => !source.startsWith("tests/tables/"))) {
    const source = await readFile(join(root, file), "utf8");
    for (const match of source.matchAll(taggedText)) {
      const [, , before = "", ids = "", after = ""] = match;
      const text = `${before}[${ids}]${after}`;
      const pattern = text.split(filledIn).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
      const isEnd = /^[ ,]/.test(before); // a row of cases brings it to the end of a title, where vitest quotes it
      const isRow = source.slice(0, match.index).trimEnd().endsWith("["); // of cases, whose title may go on behind it
      const full = new RegExp(
        `^${isEnd ? "[^]*" : ""}${pattern.join("[^]*")}${isEnd ? "'?" : ""}${isRow ? "[^]*" : ""}$`,
      );
      const title = `${before.trimEnd()}${after}`.replace(/\$\{(absent|reason|original|biased)\w*\}/g, "");
      found.push({
        file,
        title: `${isEnd ? "…" : ""}${title.replace(filledIn, "…")}`.trim(),
        ids: ids.split(", "),
        matches: (fullTitle) => full.test(fullTitle),
      });
    }
  }
  return found;
}
