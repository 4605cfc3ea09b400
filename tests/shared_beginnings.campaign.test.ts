/** Runs that compute beginnings once, on any number of workers. Two of them: shared_beginnings.test.ts. */
import { test } from "vitest";
import { expectOneAdapter } from "./support/shared_beginnings.ts";

test.each([
  { name: "first-fit cells", cut: ["--cell-multiple", "0"] },
  { name: "even cells", cut: ["--cell-multiple", "2"] },
])("$name: 1, 2, 3, 5 and 8 workers, and processes, train one adapter", async ({ name, cut }) => {
  await expectOneAdapter(name, cut, [2, 3, 5, 8]);
});
