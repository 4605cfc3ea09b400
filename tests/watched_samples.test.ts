/** `sampleEvery`: held-out prompts are answered while a run goes on, once each, and change nothing of what is trained. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, tinyRun, trainWords } from "./support/world.ts";

const cwd = testFolder();
const flags = tinyRun(cwd, { "--report-answers": "3" });
const watched = [...flags, "--sample-every", "2", "--save-every", "1"];
const run = (words: readonly string[], more: object = {}) => zerogateHere(words, { cwd, ...more });
const samplesOf = (out: string) => readFileSync(join(cwd, out, "samples.jsonl"), "utf8");

interface Line {
  readonly step: number;
  readonly sample: number;
  readonly base?: string;
  readonly adapter?: string;
}

const linesOf = (out: string): Line[] =>
  samplesOf(out)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

test("the base answers once, the adapter every N steps, with the same bytes from one worker and two, and the same adapter as without [D-watch-samples]", async () => {
  const plain = await run(trainWords(flags, "plain", 2));
  expect(plain, plain.stderr).toMatchObject({ code: 0 });
  const one = await run(trainWords(watched, "one", 1));
  expect(one, one.stderr).toMatchObject({ code: 0 });
  await run(trainWords(watched, "two", 2));
  expect(samplesOf("two")).toBe(samplesOf("one"));
  expect([adapterHash(join(cwd, "one")), adapterHash(join(cwd, "two"))]).toEqual([
    adapterHash(join(cwd, "plain")),
    adapterHash(join(cwd, "plain")),
  ]);
  const lines = linesOf("one");
  const places = lines.map(({ step, sample, base }) => [base === undefined ? step : "base", sample]);
  expect(places).toEqual(["base", 2, 4, 6].flatMap((step) => [0, 1, 2].map((sample) => [step, sample])));
  const done = one.json.find(({ event }) => event === "done") as { samples: { base: string; adapter: string }[] };
  expect(lines.slice(0, 3).map(({ base }) => base)).toEqual(done.samples.map(({ base }) => base));
  expect(one.json.filter(({ event }) => event === "sample")).toHaveLength(12);
  expect(one.stderr).toMatch(/step 4: "[^"\n]+" → "/);
  expect(readFileSync(join(cwd, "one", "report.html"), "utf8")).toContain("<h2>Answers while training");
});

test("a run that is broken off and resumed has each answer once, also if its file is lost [D-watch-resume]", async () => {
  const words = trainWords(watched, "broken", 1);
  const stop = (line: string, send: (signal: NodeJS.Signals) => void) =>
    void (line.includes('"step":3') && send("SIGINT"));
  const broken = await run(words, { onLine: stop });
  expect(broken, broken.stderr).toMatchObject({ code: 130 });
  expect(linesOf("broken").length).toBeLessThan(12);
  const resumed = await run(["resume", "broken"]);
  expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
  expect(samplesOf("broken")).toBe(samplesOf("one"));
  const again = await run(trainWords(watched, "lost", 1), { onLine: stop });
  expect(again).toMatchObject({ code: 130 });
  rmSync(join(cwd, "lost", "samples.jsonl"));
  await run(["resume", "lost"]);
  const names = linesOf("lost").map(({ step, sample, base }) => `${base === undefined ? step : "base"} ${sample}`);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => name.startsWith("base"))).toHaveLength(3);
  expect(names.filter((name) => name.startsWith("6 "))).toHaveLength(3);
  expect(adapterHash(join(cwd, "lost"))).toBe(adapterHash(join(cwd, "one")));
});

test("answers without anything to ask are refused [D-watch-samples]", async () => {
  const none = await run(trainWords([...watched, "--report-answers", "0"], "none", 1));
  expect(none).toMatchObject({ code: 2 });
  expect(none.stderr).toContain("sampleEvery asks the prompts of reportAnswers, which is 0: expected at least 1");
});
