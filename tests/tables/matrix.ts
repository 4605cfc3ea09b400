/** The table of rows and respects, from the tests of a run whose titles name both. */
import type { TestCase } from "vitest/node";
import type { Row, Table } from "./table.ts";

type Matrix = NonNullable<Table["matrix"]>;

/** Tags of a title, and what stands before them. */
const tags = /\[((?:[\w-]+(?:, )?)+)\]/g;

/** How often tests of a row and a column passed; of engines, which ones did. */
export function matrixLines({ title, rows, columns }: Matrix, tests: readonly TestCase[]): string[] {
  const heads = columns.map(({ what }) => what);
  const ids = new Set(rows.map(({ id }) => id));
  const named = tests.map((test) => ({ test, own: idsOf(test, ids) }));
  const cell = (row: Row, column: Row) => {
    const found = named.filter(({ own }) => own.has(row.id) && own.has(column.id)).map(({ test }) => test);
    return column.id.endsWith("engines") ? enginesOf(found) : countOf(found);
  };
  return [
    `## ${title}`,
    "",
    `| | ${heads.join(" | ")} |`,
    `|---|${heads.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${nameOf(row)} | ${columns.map((column) => row.why ?? cell(row, column)).join(" | ")} |`),
  ];
}

/** The row's name in the table: its id without what all of them begin with. */
export const nameOf = ({ id }: Row): string => id.replace(/^M-/, "");

/** The test's title and those of the suites around it. */
export function titlesOf(test: TestCase): string[] {
  const titles = [test.name];
  let { parent } = test;
  while (parent.type === "suite") {
    titles.push(parent.name);
    ({ parent } = parent);
  }
  return titles;
}

/** If titles name several rows, the test is of those whose name stands in a title's own words. */
function idsOf(test: TestCase, rows: ReadonlySet<string>): Set<string> {
  const titles = titlesOf(test);
  const all = titles.flatMap((title) => [...title.matchAll(tags)].flatMap(([, list = ""]) => list.split(", ")));
  const ofRows = new Set(all.filter((id) => rows.has(id)));
  const words = new Set(titles.flatMap((title) => title.replace(tags, "").match(/\w+/g) ?? []));
  return new Set(all.filter((id) => !rows.has(id) || ofRows.size === 1 || words.has(id.replace(/^M-/, ""))));
}

function countOf(tests: readonly TestCase[]): string {
  const count = (state: string) => tests.filter((test) => test.result().state === state).length;
  const states = ["passed", "failed", "skipped"].map((state) => [state, count(state)] as const);
  const said = states.filter(([, number]) => number > 0).map(([state, number]) => `${number} ${state}`);
  return said.join(", ") || "–";
}

function enginesOf(tests: readonly TestCase[]): string {
  const names = new Set<string>();
  for (const test of tests) {
    // Tests of the command take the engine that it would, and compare it with the reference.
    const [, name = "auto, reference"] = /\bengine (.+?), golden/.exec(titlesOf(test).join(", ")) ?? [];
    if (test.result().state === "passed") names.add(name);
    if (test.result().state === "failed") names.add(`${name} failed`);
  }
  return [...names].toSorted().join(", ") || "–";
}
