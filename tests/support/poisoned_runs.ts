/** Runs on a base with one embedding that is infinite, which one of 64 records needs; `stopped` is the run that stops there. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@zerogate/data";
import { beforeAll, expect } from "vitest";
import { testFolder } from "./cli.ts";
import { zerogateHere } from "./here.ts";
import { withPoisonedToken } from "./hostile_model.ts";
import { base, records, tinyRun, trainWords } from "./world.ts";

export const cwd = testFolder();
export const run = (out: string) => join(cwd, out);
/** One of the 64 records says something that no other says. Its step is far enough from the first to go back to another one. */
export const POISON = "zzqj";
export const RECORD = 58;
export const flags = tinyRun(cwd, {
  "--model": "poisoned",
  "--val-fraction": "0",
  "--save-every": "1",
  "--steps": "8",
});
export const words = (out: string, workers: number, more: string[]) => trainWords(flags, out, workers, more);
export const train = (out: string, workers: number, more: string[] = []) =>
  zerogateHere(words(out, workers, more), { cwd });
export const resume = (out: string, more: string[] = []) => zerogateHere(["resume", out, "--json", ...more], { cwd });

type Line = Readonly<Record<string, unknown>>;
export const receiptText = (out: string) => readFileSync(join(run(out), "receipt.jsonl"), "utf8");
const receipt = (out: string) =>
  receiptText(out)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
export const stepsOf = (out: string, event: string) =>
  receipt(out).flatMap((line) => (line["event"] === event ? [line["step"] as number] : []));

/** The plan's only bad step, counted from 1. */
export let bad: number;

beforeAll(async () => {
  cpSync(base, run("poisoned"), { recursive: true });
  const data = records("train.json", 64).map((record, i) =>
    i === RECORD ? { ...record, instruction: `${record.instruction} ${POISON}` } : record,
  );
  writeFileSync(run("data.json"), JSON.stringify(data));
  const tokenizer = await loadTokenizer(base);
  const texts = [...data, ...records("heldout.json", 8)].map(({ instruction, input, output }) =>
    tokenizer.encode(`${instruction}\n${input}\n${output}`),
  );
  const token = texts[RECORD]?.find((id) => texts.every((ids, i) => i === RECORD || !ids.includes(id)));
  if (token === undefined) throw new Error(`no token of "${POISON}" is rare`);
  withPoisonedToken(run("poisoned"), token);
  const stopped = await train("stopped", 2);
  expect(stopped).toMatchObject({ code: 1 });
  bad = stopped.json.length + 1;
  expect(bad).toBeGreaterThan(4);
  expect(stopped.stderr).toMatch(
    new RegExp(`Step ${bad} has numbers that cannot be used: cell \\d \\(samples [\\d, ]+\\): the (loss|gradient)`),
  );
  expect(stopped.stderr).toMatch(
    new RegExp(`cell \\d, sample ${RECORD} \\(record ${RECORD} of the data\\): ".*${POISON}`),
  );
  expect(stopped.stderr).toContain("resume with --on-bad-numbers skip");
  expect(stopped.stderr).toContain(`The state after step ${bad - 1} is saved`);
});
