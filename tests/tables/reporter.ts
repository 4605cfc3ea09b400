/** A vitest reporter that writes the tables of docs/ from a whole run: `pnpm run tables`. */
import { writeFile } from "node:fs/promises";
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";
import { matrixLines, titlesOf } from "./matrix.ts";
import { LINE_BREAK, rowHead, tables } from "./table.ts";
import { readTags, root, type Tagged } from "./tags.ts";

export default class TablesReporter implements Reporter {
  async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const tags = await readTags();
    for (const { path, title, about, rows, matrix } of tables) {
      const lines = [`# ${title}`, "", about, "", "| row | what | test | result |", "|---|---|---|---|"];
      for (const row of rows) {
        const own = tags.filter(({ ids }) => ids.includes(row.id));
        const results = own.map((tagged) => resultOf(tagged, tests)).join(LINE_BREAK);
        lines.push(`${rowHead(row, own)} ${own.length > 0 ? results : (row.why ?? "MISSING")} |`);
      }
      if (matrix) lines.push("", ...matrixLines(matrix, tests));
      await writeFile(path, `${lines.join("\n")}\n`);
    }
  }
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
