import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSamples, readSamples, type SampledAnswer } from "./samples_file.ts";

const quiet = { failed: () => {}, worked: () => {} };
const never = (sentence: string) => {
  throw new Error(`not expected: ${sentence}`);
};

function newRun(): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-samples-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const line = (step: number, sample: number, by: "base" | "adapter" = "adapter"): SampledAnswer => {
  return { step, sample, prompt: `prompt ${sample}`, expected: "yes", [by]: `answer at ${step}` };
};

const lines = [line(0, 7, "base"), line(0, 9, "base"), line(5, 7), line(5, 9), line(10, 7), line(10, 9)];

function written(run: string): void {
  const file = openSamples(run, undefined, quiet, never);
  for (const one of lines) file.write(one);
  file.close();
}

test("answers come back, and a file says what it has", () => {
  const run = newRun();
  expect(readSamples(run)).toEqual([]);
  written(run);
  expect(readSamples(run)).toEqual(lines);
  const file = openSamples(run, 10, quiet, never);
  expect([file.has(7), file.has(8), file.has(7, 5), file.has(7, 15), file.has(8, 5)]).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
  file.write(line(15, 7));
  expect(file.has(7, 15)).toBe(true);
  file.close();
});

test("a resume takes out later answers and a half-written one, which are asked again", () => {
  const run = newRun();
  written(run);
  appendFileSync(join(run, "samples.jsonl"), '{"step":15,"sample"');
  const file = openSamples(run, 5, quiet, never);
  expect([file.has(7), file.has(9, 5), file.has(7, 10)]).toEqual([true, true, false]);
  file.close();
  expect(readSamples(run)).toEqual(lines.slice(0, 4));
  openSamples(run, undefined, quiet, never).close();
  expect(readSamples(run)).toEqual([]);
});

test("damage is reported, a copy kept, and what is in order goes on", () => {
  const run = newRun();
  written(run);
  const path = join(run, "samples.jsonl");
  const damaged = readFileSync(path, "utf8").replace('"sample":9,', '"sample":"9",');
  writeFileSync(path, damaged);
  const said: string[] = [];
  openSamples(run, 10, quiet, (sentence) => said.push(sentence)).close();
  expect(said).toEqual([
    `${path} is damaged (line 2 is no line of samples). It is kept as ${path}.corrupt; what is in order goes on`,
  ]);
  expect(readFileSync(`${path}.corrupt`, "utf8")).toBe(damaged);
  expect(readSamples(run)).toEqual(lines.toSpliced(1, 1));
});
