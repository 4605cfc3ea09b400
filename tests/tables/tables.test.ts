import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { rowHead, tables } from "./table.ts";
import { readTags } from "./tags.ts";

const tags = await readTags();

test("no test names a row that is in no table", () => {
  const known = new Set(tables.flatMap(({ rows }) => rows.map(({ id }) => id)));
  expect(tags.flatMap(({ ids }) => ids.filter((id) => !known.has(id)))).toEqual([]);
});

describe.each(tables)("$title", ({ path, rows }) => {
  const coveredBy = (id: string) => tags.filter(({ ids }) => ids.includes(id));

  test("every row has a test, or a reason why none can cover it and no test that claims to", () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    const without = rows.flatMap(({ id, why }) => (coveredBy(id).length > 0 || why ? [] : [id]));
    expect(without, "rows without a test").toEqual([]);
    const both = rows.filter(({ id, why }) => why !== undefined && coveredBy(id).length > 0);
    expect(both, "covered now: take the reason out of the rows").toEqual([]);
  });

  test("the page names the tests that there are, and none of them failed (pnpm run tables writes it)", async () => {
    const [, ...lines] = (await readFile(path, "utf8")).split("\n").filter((line) => line.startsWith("| "));
    const expected = rows.map((row) => {
      const own = coveredBy(row.id);
      return own.length > 0 ? rowHead(row, own) : `${rowHead(row, own)} ${row.why} |`;
    });
    expect(lines.map((line, i) => line.slice(0, expected[i]?.length))).toEqual(expected);
    const results = lines.map((line) => line.split(" | ").at(-1) ?? "");
    expect(results.filter((result) => /failed|NOT RUN|MISSING/.test(result))).toEqual([]);
  });
});
