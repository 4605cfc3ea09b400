import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { rowHead } from "./reporter.ts";
import { rows } from "./rows.ts";
import { parityFile, readTags } from "./tags.ts";

const tags = await readTags();

test("every row has a test, or a reason why none can cover it and no test that claims to", () => {
  const covered = new Set(tags.flatMap(({ ids }) => ids));
  const known = new Set(rows.map(({ id }) => id));
  expect(rows).toHaveLength(known.size);
  expect(
    [...covered].filter((id) => !known.has(id)),
    "rows that are not in the list",
  ).toEqual([]);
  expect(
    rows.flatMap(({ id, why }) => (covered.has(id) || why ? [] : [id])),
    "rows without a test",
  ).toEqual([]);
  const both = rows.filter(({ id, why }) => why !== undefined && covered.has(id));
  expect(both, "covered now: take the reason out of rows.ts").toEqual([]);
});

test("docs/parity.md names the tests that there are, and none of them failed (pnpm run parity writes it)", async () => {
  const table = (await readFile(parityFile, "utf8")).split("\n").filter((line) => /^\| [A-FLP]\d/.test(line));
  const expected = rows.map((row) => {
    const own = tags.filter(({ ids }) => ids.includes(row.id));
    return own.length > 0 ? rowHead(row, own) : `${rowHead(row, own)} ${row.why} |`;
  });
  expect(table.map((line, i) => line.slice(0, expected[i]?.length))).toEqual(expected);
  expect(table.filter((line) => /failed|NOT RUN|MISSING/.test(line))).toEqual([]);
});
