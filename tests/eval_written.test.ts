/** `zerogate eval --generate`: base and adapter write answers, which are compared with the expected ones. */
import { join } from "node:path";
import { scoreWritten } from "@zerogate/data";
import { beforeAll, expect, test } from "vitest";
import { type Outcome, testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { heldOutFile, tinyRun, trainWords } from "./support/world.ts";

const cwd = testFolder();
const run = (...args: string[]) => zerogateHere(args, { cwd });
const asked = ["eval", "--adapter", "run", "--data", heldOutFile, "--compute", "f32", "--generate"];

interface Written {
  readonly answers: number;
  readonly results: readonly { readonly model: string; readonly rougeL: { readonly value: number } }[];
}

let trained: Outcome;

beforeAll(async () => {
  const flags = tinyRun(cwd, { "--steps": "30", "--lr": "0.02", "--report-answers": "8" });
  trained = await run(...trainWords(flags, "run", 2));
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
});

test("written answers are those of the report, scored with intervals, the same from one worker and two [D-written-eval]", async () => {
  const one = await run(...asked.with(4, join(cwd, "held.json")), "--workers", "1", "--json");
  expect(one, one.stderr).toMatchObject({ code: 0 });
  const two = await run(...asked.with(4, join(cwd, "held.json")), "--workers", "2", "--json");
  const { written } = one.json[0] as { written: Written };
  expect(two.json[0]).toMatchObject({ written });
  expect(written).toMatchObject({ answers: 8, results: [{ model: "base" }, { model: "adapter" }] });
  const done = trained.json.find(({ event }) => event === "done") as {
    samples: Record<"expected" | "base" | "adapter", string>[];
  };
  const answers = done.samples.map(({ expected, base, adapter }) => ({ expected, texts: [base, adapter] }));
  expect(written).toMatchObject(JSON.parse(JSON.stringify(scoreWritten(["base", "adapter"], answers))));
});

test("the table shows each score with its interval, and the differences; a limit counts answers [D-written-eval]", async () => {
  const { code, stdout, stderr } = await run(...asked, "--limit", "5");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/\n5 answers written, of 100\n +exact +95 % +ROUGE-L +95 % +chrF +95 %\nbase +\d/);
  expect(stdout).toMatch(/\nadapter − base +[+−]\d+\.\d +[+−]\d+\.\d … [+−]\d+\.\d/);
});

test("the flag is for records, and a limit without it is refused [D-written-eval]", async () => {
  const task = await run("eval", "--adapter", "run", "--task", "mmlu=x", "--generate");
  expect(task).toMatchObject({ code: 2 });
  expect(task.stderr).toContain("--generate is given, which is for --data: leave it out");
  const limit = await run(...asked.slice(0, -1), "--limit", "5");
  expect(limit.stderr).toContain("--limit is given, which is for --task: leave it out");
  expect((await run(...asked, "--limit", "0")).stderr).toContain(
    '--limit is "0", expected a whole number of at least 1',
  );
});
