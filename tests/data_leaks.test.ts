/** Held-out records that are trained on as well: `train` says so before it begins. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { records, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const [a, b] = records("train.json", 64).slice(40, 42) as [object, { instruction: string; input: string }];

const warningOf = async (held: readonly unknown[], more: readonly string[] = []) => {
  writeFileSync(join(folder, "held.json"), JSON.stringify(held));
  const words = ["train", ...flags, ...more, "--out", "run", "--dry-run"];
  const { code, stderr } = await zerogateHere(words, { cwd: folder });
  expect(code, stderr).toBe(0);
  return stderr.split("\n").filter((line) => line.includes("trained on as well"));
};

test("a leak planted between training and validation is warned of, with how many and where [D-check-train]", async () => {
  const clean = records("heldout.json", 3);
  expect(await warningOf(clean)).toEqual([]);
  const other = { ...b, output: "another answer" };
  const counts = "2 of 5 held-out samples are trained on as well (1 as they are, 1 with another answer)";
  const places = "the first is record 3 of the validation data, which is like record 40 of the data, counted from 0";
  for (const memory of [[], ["--token-memory", "0"]]) {
    expect(await warningOf([...clean, a, other], memory)).toEqual([
      `warning: ${counts}: ${places}; held-out loss looks better than it is`,
    ]);
  }
});
