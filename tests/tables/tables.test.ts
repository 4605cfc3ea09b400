import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { nameOf } from "./matrix.ts";
import { rowHead, tables } from "./table.ts";
import { readTags } from "./tags.ts";

const tags = await readTags();

test("no test names a row that is in no table", () => {
  const known = new Set(
    tables.flatMap(({ rows, matrix }) => [...rows, ...(matrix?.columns ?? [])].map(({ id }) => id)),
  );
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
    const [table = ""] = (await readFile(path, "utf8")).split("\n## ");
    const [, ...lines] = table.split("\n").filter((line) => line.startsWith("| "));
    const expected = rows.map((row) => {
      const own = coveredBy(row.id);
      return own.length > 0 ? rowHead(row, own) : `${rowHead(row, own)} ${row.why} |`;
    });
    expect(lines.map((line, i) => line.slice(0, expected[i]?.length))).toEqual(expected);
    const results = lines.map((line) => line.split(" | ").at(-1) ?? "");
    expect(results.filter((result) => /failed|NOT RUN|MISSING/.test(result))).toEqual([]);
  });
});

const withMatrix = tables.flatMap(({ title, path, matrix }) => (matrix ? [{ title, path, matrix }] : []));
test.each(withMatrix)(
  "$title: each row of the second table holds in each respect but storage and PEFT",
  async ({ path, matrix }) => {
    const [, table = ""] = (await readFile(path, "utf8")).split(`\n## ${matrix.title}\n`);
    const [, ...lines] = table.split("\n").filter((line) => line.startsWith("| "));
    expect(lines.map((line) => line.split(" | ")[0])).toEqual(matrix.rows.map((row) => `| ${nameOf(row)}`));
    for (const line of lines) {
      const cells = line.slice(2, -2).split(" | ");
      expect(cells).toHaveLength(matrix.columns.length + 1);
      expect(line).not.toContain("failed");
      const needed = matrix.columns.flatMap(({ id }, i) => (/storage|peft/.test(id) ? [] : [cells[i + 1]]));
      expect(needed, line).not.toContain("–");
    }
  },
);
