/** `zerogate eval --task`: benchmarks scored as lm-evaluation-harness scores them, by base and adapters side by side. */
import { appendFileSync, cpSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, initParameters, layerParts, partNumbers } from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
const run = (...args: string[]) => zerogateHere(["eval", ...args], { cwd });
const evalBase = (...args: string[]) => run("--model", base, "--workers", "1", ...args);
const harness = (path: string) => fileURLToPath(new URL(`lm_eval/${path}`, import.meta.url));
const items = (name: string) => harness(`items/${name}`);

interface HarnessTask {
  readonly task: string;
  readonly file: string;
  readonly shots?: number;
  readonly examples?: string;
  readonly items: readonly {
    readonly section?: string;
    readonly scores: readonly number[];
    readonly acc: number;
    readonly acc_norm?: number;
  }[];
}

interface Answered {
  readonly doc: number;
  readonly section?: string;
  readonly gold: number;
  readonly models: Readonly<
    Record<
      string,
      { readonly right: Record<string, boolean>; readonly chosen: number; readonly logLikelihoods: number[] }
    >
  >;
}

const golden = JSON.parse(readFileSync(harness("golden.json"), "utf8")) as Readonly<Record<string, HarnessTask>>;
const text = (...path: string[]): string => readFileSync(join(cwd, ...path), "utf8");
const answered = (out: string): Answered[] =>
  text(out, "items.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Answered);

/** Adapters with gates of this size: without, they would be the base. */
beforeAll(async () => {
  const model = await readModelConfig(base);
  for (const [name, adaptedLayers, gate] of [
    ["one", 4, 0.8],
    ["two", 2, -1.5],
  ] as const) {
    const settings = { gateSharing: "scalar", gateActivation: "none" } as const;
    const layout = adapterLayout({ promptLength: 3, adaptedLayers, ...settings }, model);
    const params = initParameters(layout.table, 5);
    for (const part of layerParts(layout)) partNumbers(part.gate, params).fill(gate);
    const config = adaptionPromptConfig({ adapterLen: 3, adapterLayers: adaptedLayers, baseModelNameOrPath: base });
    await saveAdapter(join(cwd, name), { config, layout, params });
  }
});

test.each(Object.entries(golden))(
  "%s: log-likelihoods are the harness's within 1e-4, and what is right is the same [D-task-scores]",
  async (name, { task, file, shots = 0, examples, items: expected }) => {
    const out = `golden ${name}`;
    const from = examples === undefined ? [] : ["--shots-from", items(examples)];
    const asked = ["--task", `${task}=${items(file)}`, "--shots", String(shots), ...from];
    const found = await evalBase(...asked, "--compute", "f32", "--out", out, "--json");
    expect(found, found.stderr).toMatchObject({ code: 0 });
    const ours = answered(out).toSorted((a, b) => ((a.section ?? "") < (b.section ?? "") ? -1 : 1));
    expect(ours.map(({ section }) => section)).toEqual(expected.map(({ section }) => section));
    for (const [i, { scores, acc, acc_norm }] of expected.entries()) {
      const { right, logLikelihoods = [] } = ours[i]?.models["base"] ?? {};
      expect(logLikelihoods).toHaveLength(scores.length);
      for (const [c, score] of scores.entries()) expect(Math.abs((logLikelihoods[c] ?? 0) - score)).toBeLessThan(1e-4);
      expect(right).toEqual({ acc: acc === 1, ...(acc_norm !== undefined && { acc_norm: acc_norm === 1 }) });
    }
    const share = expected.filter(({ acc }) => acc === 1).length / expected.length;
    const [summary] = (found.json[0] as { tasks: { results: { acc: { value: number } }[] }[] }).tasks;
    expect(summary?.results[0]?.acc.value).toBe(share);
  },
);

const sideBySide = ["--task", items("arc_easy_test.jsonl"), "--task", items("winogrande_validation.jsonl")];

test("adapters beside the base have the scores that each has alone, and any number of workers gives the same bytes [D-task-models, D-task-workers]", async () => {
  const both = ["--adapter", "one", "--adapter", "two=second", ...sideBySide];
  const files: string[] = [];
  for (const workers of ["1", "2", "5"]) {
    const found = await run("--model", base, ...both, "--workers", workers, "--out", `by ${workers}`);
    expect(found, found.stderr).toMatchObject({ code: 0 });
    files.push(text(`by ${workers}`, "items.jsonl"));
  }
  expect(new Set(files).size).toBe(1);
  const together = answered("by 1");
  for (const [folder, name] of [
    ["one", "one"],
    ["two", "second"],
  ]) {
    await evalBase("--adapter", `${folder}=${name}`, ...sideBySide, "--out", `alone ${name}`);
    const scores = (list: Answered[]) => list.map(({ models }) => [models["base"], models[name ?? ""]]);
    expect(scores(answered(`alone ${name}`))).toEqual(scores(together));
  }
  const lists = ["base", "one", "second"].map((name) => JSON.stringify(together.map(({ models }) => models[name])));
  expect(new Set(lists).size, "adapters matter").toBe(3);
});

test("processes of their own score as threads do [D-task-workers]", async () => {
  const asked = ["--adapter", "one", ...sideBySide];
  const isolated = await evalBase(...asked, "--isolate", "--out", "isolated");
  expect(isolated, isolated.stderr).toMatchObject({ code: 0 });
  await evalBase(...asked, "--out", "threads");
  expect(text("isolated", "items.jsonl")).toBe(text("threads", "items.jsonl"));
});

test("the table shows shares with intervals, and what a difference is worth [D-task-report]", async () => {
  const { code, stdout, stderr } = await evalBase("--adapter", "one", "--task", items("piqa_validation.jsonl"));
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/^piqa: 3 questions, no examples, % right\n +acc +95 % +acc_norm +95 %\nbase +\d/);
  expect(stdout).toMatch(/\none +\d+\.\d +\d+\.\d … \d+\.\d +\d+\.\d +\d+\.\d … \d+\.\d\n/);
  const difference = /\none − base, acc: [+−]\d+\.\d points \(95 % [+−]\d+\.\d … [+−]\d+\.\d\), /;
  expect(stdout).toMatch(difference);
  expect(stdout).toMatch(/\d right where base is wrong, \d the other way, McNemar p = \S+\n/);
});

test("an evaluation that was broken off goes on with the questions that are left, and one of another kind is refused [D-task-resume]", async () => {
  const asked = ["--adapter", "one", "--task", items("mmlu_test.jsonl"), "--shots", "1"];
  const command = [...asked, "--shots-from", items("mmlu_dev.jsonl"), "--out", "broken off"];
  const whole = await evalBase(...command, "--json");
  expect(whole, whole.stderr).toMatchObject({ code: 0 });
  const lines = text("broken off", "items.jsonl");
  const cut = lines.indexOf("\n", lines.indexOf("\n") + 1) + 20;
  truncateSync(join(cwd, "broken off", "items.jsonl"), cut);
  const again = await evalBase(...command, "--json");
  expect(again.stderr).toContain("broken off has 2 answered questions: they are not asked again");
  expect(text("broken off", "items.jsonl")).toBe(lines);
  expect(again.json).toEqual(whole.json);
  const third = await evalBase(...command, "--json");
  expect(third.json).toEqual(whole.json);
  expect(third.stderr).not.toContain("starting workers");
  const other = await evalBase(...command.toSpliced(5, 1, "0"));
  expect(other).toMatchObject({ code: 2 });
  expect(other.stderr).toContain(
    "Cannot go on with the evaluation in broken off: it is one of another kind, tasks differ: choose another --out",
  );
  appendFileSync(join(cwd, "broken off", "items.jsonl"), "no json\n");
  expect((await evalBase(...command)).stderr).toContain("is no answered question: remove it, or choose another --out");
});

test("a limit asks the first questions, and a larger one goes on from there [D-task-resume]", async () => {
  const command = ["--task", items("arc_easy_test.jsonl"), "--out", "limited", "--json"];
  const { json } = await evalBase(...command, "--limit", "1");
  expect(json[0]).toMatchObject({ tasks: [{ task: "arc_easy", questions: 1 }] });
  await evalBase(...command, "--limit", "3");
  expect(answered("limited").map(({ doc }) => doc)).toEqual([0, 1, 2]);
  const back = await evalBase(...command, "--limit", "2");
  expect(back.json[0]).toMatchObject({ tasks: [{ questions: 2 }] });
});

test("the page of disagreements shows what models chose, and runs nothing that a record holds [D-task-report]", async () => {
  const hostile = "</td><script>alert(1)</script><img src=x onerror=alert(2)>";
  const choices = ["red", "blue", "green", "one", "two", "three", hostile];
  const records = Array.from({ length: 40 }, (_, i) => ({ question: `${hostile} ${i}?`, choices, answer: i % 7 }));
  writeFileSync(join(cwd, "hostile.json"), JSON.stringify(records));
  const { code, stderr } = await evalBase(
    "--adapter",
    "one",
    "--adapter",
    "two",
    "--task",
    "hostile.json",
    "--out",
    "page",
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const page = text("page", "disagreements.html");
  const differing = answered("page").filter(
    ({ models }) => new Set(Object.values(models).map((m) => m.chosen)).size > 1,
  );
  expect(differing.length).toBeGreaterThan(0);
  expect(page.match(/<article>/g)).toHaveLength(differing.length);
  expect(page).not.toMatch(/<script|<img|onerror=alert\(2\)>/);
  expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(page).toContain("default-src 'none'");
  expect(page).toContain("<h1>Where base, one and two disagree</h1>");
  expect(page).toContain('<th scope="col" class="score">one</th>');
});

test("GSM8K's answers are written by each model until they end, and kept as they are [D-task-written, D-task-resume]", async () => {
  cpSync(base, join(cwd, "long"), { recursive: true });
  const config = JSON.parse(text("long", "config.json")) as object;
  writeFileSync(join(cwd, "long", "config.json"), JSON.stringify({ ...config, max_position_embeddings: 1024 }));
  const asked = ["--task", items("gsm8k_test.jsonl"), "--shots", "1"];
  const short = await evalBase(...asked);
  expect(short).toMatchObject({ code: 2 });
  expect(short.stderr).toContain("Cannot ask gsm8k: its answers have up to 256 tokens, the model's context is 256");
  const models = ["--model", "long", "--adapter", "one", "--workers", "2"];
  const found = await run(...models, ...asked, "--out", "written", "--json");
  expect(found, found.stderr).toMatchObject({ code: 0 });
  const lines = text("written", "items.jsonl").trimEnd().split("\n");
  const texts = lines.map((line) => JSON.parse(line) as { models: Record<string, { text: string; right: object }> });
  expect(texts).toHaveLength(2);
  for (const { models: own } of texts) {
    for (const { text: written, right } of Object.values(own)) {
      expect(written).not.toMatch(/Question:|<\/s>/);
      expect(Object.keys(right)).toEqual(["strict", "flexible"]);
    }
  }
  expect(texts[0]?.models["base"]?.text).not.toBe(texts[0]?.models["one"]?.text);
  const summary = { task: "gsm8k", metrics: ["strict", "flexible"], questions: 2 };
  expect(found.json[0]).toMatchObject({ tasks: [summary] });
  const again = await run(...models, ...asked, "--out", "written", "--json");
  expect(again.json).toEqual(found.json);
});

test.each([
  ["neither data nor a task", [], "neither --data nor --task is given"],
  ["both", ["--data", "x.json", "--task", "y.jsonl"], "--data and --task are both given"],
  [
    "a limit without a task",
    ["--data", "x.json", "--limit", "3"],
    "--limit is given, which is for --task: leave it out",
  ],
  [
    "two adapters with data",
    ["--data", "x.json", "--adapter", "one", "--adapter", "two"],
    "2 adapters are given: --data takes one",
  ],
  ["a limit of 0", ["--task", "y.jsonl", "--limit", "0"], '--limit is "0", expected a whole number of at least 1'],
  ["an adapter called base", ["--task", items("piqa_validation.jsonl"), "--adapter", "one=base"], "as the base is"],
  [
    "a task twice",
    ["--task", items("copa_validation.jsonl"), "--task", items("copa_train.jsonl")],
    "is the task copa a second time",
  ],
])("%s is refused with what to type [D-task-errors]", async (_, args, says) => {
  const { code, stderr } = await evalBase(...args);
  expect(stderr).toContain(says);
  expect(code).toBe(2);
  expect(existsSync(join(cwd, "y.jsonl"))).toBe(false);
});
