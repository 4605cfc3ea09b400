import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { slowDisk } from "../../test/slow_disk.ts";
import { holdsBroken, listCheckpoints, pruneCheckpoints, removeLeftovers, setAside } from "./folders.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-folders-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const make = (...names: string[]) => {
  for (const name of names) mkdirSync(join(run, "checkpoints", name), { recursive: true });
};
const steps = (...list: number[]) => make(...list.map((step) => `step-${step}`));
const found = (folder = "checkpoints") => readdirSync(join(run, folder)).toSorted();
const none = { newest: 1, every: 0, best: undefined, upTo: undefined };

test("checkpoints are listed by their number, and what only looks like one is not", async () => {
  expect(await listCheckpoints(run)).toEqual([]);
  steps(9, 10, 0, 100);
  make("step-07", "step--1", "step-1.corrupt", ".step-5.1.abc.tmp", "step-1234567890123456", "astep-3", "step-3b");
  writeFileSync(join(run, "checkpoints", "step-11"), "a file");
  expect(await listCheckpoints(run)).toEqual([100, 10, 9, 0]);
});

test("another fault than a missing folder is reported", async () => {
  writeFileSync(join(run, "checkpoints"), "in the way");
  await expect(listCheckpoints(run)).rejects.toThrow("ENOTDIR");
});

test.each([
  ["the newest", none, [6]],
  ["the three newest", { ...none, newest: 3 }, [4, 5, 6]],
  ["more than there are", { ...none, newest: 7 }, [0, 1, 2, 3, 4, 5, 6]],
  ["every one", { ...none, every: 1 }, [0, 1, 2, 3, 4, 5, 6]],
  ["every second", { ...none, newest: 2, every: 2 }, [0, 2, 4, 5, 6]],
  ["the best", { ...none, best: 2 }, [2, 6]],
  ["the best of step 0", { ...none, best: 0 }, [0, 6]],
  ["where a rollback would go to, and later ones", { ...none, upTo: 3 }, [3, 4, 5, 6]],
  ["the start, where a rollback would go to, and later ones", { ...none, upTo: 0 }, [0, 1, 2, 3, 4, 5, 6]],
])("of seven checkpoints stay: %s [T-E2]", async (_, rule, expected) => {
  steps(0, 1, 2, 3, 4, 5, 6);
  const gone = await pruneCheckpoints(run, rule);
  expect((await listCheckpoints(run)).toReversed()).toEqual(expected);
  expect([...gone, ...expected].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(found()).toHaveLength(expected.length);
});

test("a rollback that would go to a step without a checkpoint keeps the one before it", async () => {
  steps(2, 4, 6, 8);
  await pruneCheckpoints(run, { ...none, upTo: 5 });
  expect(await listCheckpoints(run)).toEqual([8, 6, 4]);
  await pruneCheckpoints(run, { ...none, upTo: 3 });
  expect(await listCheckpoints(run)).toEqual([8, 6, 4]);
  await pruneCheckpoints(run, { ...none, upTo: 8 });
  expect(await listCheckpoints(run)).toEqual([8]);
});

test("leftovers of crashed saves go, foreign files and the locks of others that run stay", async () => {
  steps(2);
  make(".step-4.17.abcdef.tmp", ".step-2.1.ab.tmp", ".hidden");
  const others = [
    `.lock-3.${process.pid}.abc123.tmp`,
    ".lock-3.4194303.abc123.tmp", // no process has this number
    ".config.json.12.abc.tmp",
    ".lock-notes.tmp",
    "notes.tmp",
  ];
  for (const name of others) writeFileSync(join(run, name), "");
  await removeLeftovers(run);
  expect(found()).toEqual([".hidden", "step-2"]);
  expect(found("")).toEqual([`.lock-3.${process.pid}.abc123.tmp`, ".lock-notes.tmp", "checkpoints", "notes.tmp"]);
});

test("a broken checkpoint gets a name that is free, and the run is known to have had one", async () => {
  steps(3, 4);
  expect(await holdsBroken(run)).toBe(false);
  expect(await setAside(run, 3)).toBe(join(run, "checkpoints", "step-3.corrupt"));
  for (const name of ["step-3.corrupt-2", "step-3.corrupt-3"]) {
    steps(3);
    expect(await setAside(run, 3)).toBe(join(run, "checkpoints", name));
  }
  expect(found()).toEqual(["step-3.corrupt", "step-3.corrupt-2", "step-3.corrupt-3", "step-4"]);
  expect(await holdsBroken(run)).toBe(true);
});

test("each checkpoint that goes is out of the way before it is removed, one after the other", async () => {
  steps(1, 2, 3);
  const { done, restore } = slowDisk();
  try {
    await pruneCheckpoints(run, none);
    expect(found()).toEqual(["step-3"]);
  } finally {
    restore();
  }
  expect(done.filter((what) => !what.startsWith("sync")).map((what) => what.replace(/ .*(step-\d).*/, " $1"))).toEqual([
    "rename step-2",
    "remove step-2",
    "rename step-1",
    "remove step-1",
  ]);
});

test("a broken checkpoint is away when its new name is handed out", async () => {
  steps(3);
  const { restore } = slowDisk();
  try {
    await setAside(run, 3);
    expect(found()).toEqual(["step-3.corrupt"]);
  } finally {
    restore();
  }
});
