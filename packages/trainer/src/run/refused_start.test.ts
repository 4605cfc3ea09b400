import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openReceipt } from "@zerogate/run-files";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noLock } from "../team/other_ranks.ts";
import { firstMissing, removeEmptyStart, takeBackStart } from "./refused_start.ts";

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-start-"));
  out = join(folder, "a", "b", "run");
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (...names: string[]) => {
  mkdirSync(out, { recursive: true });
  for (const name of names) writeFileSync(join(out, name), "");
};
const found = () => readdirSync(out).toSorted();
const startNames = ["config.json", "log.jsonl", "metrics.jsonl", "events.out.tfevents.17.host.1"];

test("what a folder needs to be made begins at the highest that is not there", () => {
  expect(firstMissing(out)).toBe(join(folder, "a"));
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  expect(firstMissing(out)).toBe(out);
  mkdirSync(out);
  expect(firstMissing(out)).toBeUndefined();
});

test("the files of a start are taken back, and nothing else", async () => {
  write(...startNames, "lock-1", "notes.txt");
  mkdirSync(join(out, "checkpoints", "step-0"), { recursive: true });
  expect(await takeBackStart(out, noLock)).toBe(true);
  expect(found()).toEqual(["lock-1", "notes.txt"]);
});

test("a start is taken back if its receipt has the beginning only, a run that did something stays", async () => {
  const quiet = { failed() {}, worked() {} };
  const hashes = { base: "", data: "", tokenizer: "", plan: "" };
  const start = {
    event: "start",
    version: 2,
    zerogate: "",
    node: "",
    engine: "",
    hashes,
    config: "",
    params: "",
  } as const;
  for (const more of [undefined, { event: "eval", step: 0, loss: 1 } as const]) {
    write(...startNames);
    const receipt = openReceipt(out, undefined, quiet, () => {});
    receipt.add(start);
    if (more) receipt.add(more);
    receipt.close();
    expect(await takeBackStart(out, noLock)).toBe(more === undefined);
    expect(existsSync(join(out, "receipt.jsonl"))).toBe(more !== undefined);
    expect(existsSync(join(out, "config.json"))).toBe(more !== undefined);
  }
});

test("a run with a checkpoint of a step stays", async () => {
  write(...startNames);
  mkdirSync(join(out, "checkpoints", "step-1"), { recursive: true });
  expect(await takeBackStart(out, noLock)).toBe(false);
  expect(found()).toContain("config.json");
});

test("a start whose lock another process has taken stays as it is", async () => {
  write(...startNames);
  const lost = { ...noLock, check: () => Promise.reject(new Error("another process has it")) };
  expect(await takeBackStart(out, lost)).toBe(false);
  expect(found()).toEqual(startNames.toSorted());
});

test("what is left of a start goes with the folders that were made for it", async () => {
  const made = firstMissing(out);
  write("lock-1.free", "lock-2.free", "log.jsonl");
  await removeEmptyStart(out, made);
  expect(readdirSync(folder)).toEqual([]);
});

test("folders that were there before stay, and so does one in which something else lies by now", async () => {
  mkdirSync(join(folder, "a"));
  const made = firstMissing(out);
  write("lock-1.free");
  await removeEmptyStart(out, made);
  expect(readdirSync(join(folder, "a"))).toEqual([]);
  mkdirSync(out, { recursive: true });
  write("lock-1.free");
  await removeEmptyStart(out, undefined);
  expect(found()).toEqual([]);
  write("lock-1.free");
  writeFileSync(join(folder, "a", "b", "other"), "");
  await removeEmptyStart(out, join(folder, "a", "b"));
  expect(readdirSync(join(folder, "a", "b"))).toEqual(["other"]);
});

test.each(["lock-1", "lock-1.beat", "config.json", "log.jsonl.free", "other.free"])(
  "if %s is left, nothing is removed",
  async (name) => {
    write("lock-1.free", name);
    await removeEmptyStart(out, join(folder, "a"));
    expect(found()).toEqual(["lock-1.free", name].toSorted());
  },
);

test("a folder that is gone is no error", async () => {
  await removeEmptyStart(out, join(folder, "a"));
  expect(existsSync(out)).toBe(false);
});
