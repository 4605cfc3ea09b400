/** A vitest reporter that writes docs/parity.md from a whole run: `pnpm run parity`. */
import { writeFile } from "node:fs/promises";
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";
import { type Row, rows } from "./rows.ts";
import { parityFile, readTags, root, type Tagged } from "./tags.ts";

/** Within a cell of a table. */
const LINE_BREAK = "<br>";

export default class ParityReporter implements Reporter {
  async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const lines = [
      "# Parity",
      "",
      "What PEFT's own tests, our case table and litgpt's tests ask for, the tests that show it, and what came of them. Written by `pnpm run parity` from a run of the whole suite; `tests/parity/parity.test.ts` checks that no row is missing and that the names are current.",
      "",
      "| row | what | test | result |",
      "|---|---|---|---|",
    ];
    const tags = await readTags();
    for (const { id, what, why } of rows) {
      const own = tags.filter(({ ids }) => ids.includes(id));
      const results = own.map((tagged) => resultOf(tagged, tests)).join(LINE_BREAK);
      lines.push(`${rowHead({ id, what }, own)} ${own.length > 0 ? results : (why ?? "MISSING")} |`);
    }
    await writeFile(parityFile, `${lines.join("\n")}\n`);
  }
}

/** A row of the table up to its result. */
export function rowHead({ id, what }: Row, own: readonly Tagged[]): string {
  const cells = own.map(({ file, title }) => `${title.replaceAll("|", String.raw`\|`)} (\`${file}\`)`);
  return `| ${id} | ${what} | ${cells.join(LINE_BREAK) || "–"} |`;
}

/** A tagged text in `test/` is used by the test files of any package. */
function resultOf(tagged: Tagged, tests: readonly TestCase[]): string {
  const isShared = /^packages\/[^/]+\/test\//.test(tagged.file);
  const own = tests.filter((test) => {
    const file = relative(root, test.module.moduleId).replaceAll("\\", "/");
    return (isShared || file === tagged.file) && titlesOf(test).some((title) => tagged.matches(title));
  });
  const count = (state: string) => own.filter((test) => test.result().state === state).length;
  const states = ["passed", "failed", "skipped"].map((state) => [state, count(state)] as const);
  const said = states.filter(([, number]) => number > 0).map(([state, number]) => `${number} ${state}`);
  return said.join(", ") || "NOT RUN";
}

/** The test's title and those of the suites around it. */
function titlesOf(test: TestCase): string[] {
  const titles = [test.name];
  let { parent } = test;
  while (parent.type === "suite") {
    titles.push(parent.name);
    ({ parent } = parent);
  }
  return titles;
}
