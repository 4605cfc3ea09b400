import { appendFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openMetrics, readMetrics } from "./metrics_file.ts";
import type { EvaluationMetrics, StepMetrics } from "./metrics_line.ts";

const quiet = { failed: () => {}, worked: () => {} };
const newRun = () => mkdtempSync(join(tmpdir(), "zerogate-metrics-"));

const stepLine = (step: number): StepMetrics => ({
  step,
  epoch: step / 10,
  loss: 1 / step,
  learningRate: 1e-3,
  gradientNorm: 0.5,
  gates: [0, 0.25],
  labelledTokens: 10,
  tokens: 20,
  labelledTokensPerSecond: 100,
  tokensPerSecond: 200,
  computeMs: 80,
  reduceMs: 5,
  waitMs: 15,
  stepMs: 100,
});

const evalLine = (step: number): EvaluationMetrics => ({
  event: "eval",
  step,
  epoch: step / 10,
  loss: 1,
  perplexity: Math.E,
  labelledTokens: 50,
});

function write(run: string, from: number | undefined, steps: readonly number[]): void {
  const file = openMetrics(run, from, quiet, never);
  for (const step of steps) file.write(stepLine(step));
  file.write(evalLine(steps.at(-1) ?? 0));
  file.close();
}

const never = (sentence: string) => {
  throw new Error(`not expected: ${sentence}`);
};

test("every line comes back, steps apart from validations", () => {
  const run = newRun();
  write(run, 0, [1, 2, 3]);
  expect(readMetrics(run)).toEqual({ steps: [1, 2, 3].map(stepLine), evaluations: [evalLine(3)], unreadable: 0 });
});

test("a run without metrics has none", () => {
  expect(readMetrics(newRun())).toEqual({ steps: [], evaluations: [], unreadable: 0 });
});

test("a resume takes out later steps and validations, so that each step stands once", () => {
  const run = newRun();
  write(run, 0, [1, 2, 3, 4, 5]);
  write(run, 3, [4, 5, 6]);
  const { steps, evaluations } = readMetrics(run);
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(evaluations.map(({ step }) => step)).toEqual([6]);
  expect(readdirSync(run)).toEqual(["metrics.jsonl"]);
});

test("a new run in a used folder starts with an empty file", () => {
  const run = newRun();
  write(run, undefined, [1, 2]);
  openMetrics(run, undefined, quiet, never).close();
  expect(readFileSync(join(run, "metrics.jsonl"), "utf8")).toBe("");
});

test("a half-written last line is counted when read, and gone after a resume", () => {
  const run = newRun();
  write(run, 0, [1, 2]);
  appendFileSync(join(run, "metrics.jsonl"), '{"step":3,"loss":0.2');
  expect(readMetrics(run)).toMatchObject({ unreadable: 1, steps: [{ step: 1 }, { step: 2 }] });
  write(run, 2, [3]);
  expect(readMetrics(run)).toMatchObject({ unreadable: 0, steps: [{ step: 1 }, { step: 2 }, { step: 3 }] });
});

test.each([
  ["a line that cannot be read", '{"step":2,', '{"step":2;', [1, 3, 4, 5], "line 2 is no line of metrics"],
  ["a step out of order", '{"step":2,', '{"step":6,', [1, 3, 4, 5], "line 3 is of step 3, the one before of step 6"],
])("on a resume %s is reported, a copy kept, and the sound part continued", (_, was, is, steps, says) => {
  const run = newRun();
  write(run, 0, [1, 2, 3, 4]);
  const path = join(run, "metrics.jsonl");
  const damaged = readFileSync(path, "utf8").replace(was, is);
  writeFileSync(path, damaged);
  const said: string[] = [];
  const file = openMetrics(run, 4, quiet, (sentence) => said.push(sentence));
  file.write(stepLine(5));
  file.close();
  expect(said).toEqual([`${path} is damaged (${says}). It is kept as ${path}.corrupt; what is in order goes on`]);
  expect(readFileSync(`${path}.corrupt`, "utf8")).toBe(damaged);
  expect(readMetrics(run)).toMatchObject({ unreadable: 0, steps: steps.map((step) => ({ step })) });
  openMetrics(run, 5, quiet, never).close();
});

test.each([
  ["between a line that is too late and one that follows it", [1, 5, 6, 2, 7], [1, 5, 7]],
  ["after the validation before the first step", [0, 2, 1, 3], [0, 1, 3]],
])("on a resume what is in order stays: %s", (_, written, kept) => {
  const run = newRun();
  writeFileSync(join(run, "metrics.jsonl"), written.map((step) => `${JSON.stringify(evalLine(step))}\n`).join(""));
  openMetrics(run, 7, quiet, () => {}).close();
  expect(readMetrics(run).evaluations.map(({ step }) => step)).toEqual(kept);
});

test("damage costs the damaged lines only", () => {
  const run = newRun();
  const good = JSON.stringify(stepLine(1));
  const lines = ["\0\0\0\0", "[]", "null", '{"event":"eval","step":1}', good.replace("[0,0.25]", '"0"'), good, "{}"];
  writeFileSync(join(run, "metrics.jsonl"), lines.join("\n"));
  expect(readMetrics(run)).toEqual({ steps: [stepLine(1)], evaluations: [], unreadable: 6 });
});
