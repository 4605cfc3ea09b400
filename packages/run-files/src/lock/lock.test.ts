/** Who writes to a run, for those who do not want to write themselves. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkUnlocked, findWriter, isLockName, lockRun } from "./lock.ts";
import { ownRecord } from "./lock_record.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-writer-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const never = (sentence: string) => {
  throw new Error(`not expected: ${sentence}`);
};
const own = await ownRecord();
const leave = (name: string, changes: object = {}) =>
  writeFileSync(join(run, name), JSON.stringify({ ...own, ...changes }));

test("nobody writes to a folder without locks, or to one that is not there", async () => {
  writeFileSync(join(run, "lock-0"), "");
  writeFileSync(join(run, "lock-1.beat"), "1");
  expect(await findWriter(run, never)).toEqual({ kind: "none" });
  expect(await findWriter(join(run, "nowhere"), never)).toEqual({ kind: "none" });
  await expect(checkUnlocked(run, never)).resolves.toBeUndefined();
});

test("a folder that cannot be listed is not taken for one without a writer", async () => {
  writeFileSync(join(run, "file"), "");
  await expect(findWriter(join(run, "file"), never)).rejects.toThrow("ENOTDIR");
});

test("the process that holds the lock is named, and is one that ended once it releases it", async () => {
  const lock = await lockRun(run, never);
  const record = { pid: process.pid, startTime: own.startTime, host: own.host, boot: own.boot };
  expect(await findWriter(run, never)).toEqual({
    kind: "alive",
    record: expect.objectContaining(record),
    problem: expect.stringMatching(/^process \d+ on .*, since .*, is writing to it: wait for its end, or stop it$/),
  });
  const refused = await checkUnlocked(run, never).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(InputError);
  expect((refused as Error).message).toMatch(/^Cannot write to the run .*: process \d+ on .*, is writing to it/);
  const before = readdirSync(run);
  await findWriter(run, never);
  expect(readdirSync(run)).toEqual(before);
  await lock.release();
  expect(await findWriter(run, never)).toEqual({ kind: "ended", record: expect.objectContaining(record) });
  await expect(checkUnlocked(run, never)).resolves.toBeUndefined();
});

test("a process that no longer runs is dead, of a damaged lock nothing is known of it", async () => {
  leave("lock-3", { startTime: "0" });
  expect(await findWriter(run, never)).toEqual({ kind: "dead", record: { ...own, startTime: "0" } });
  writeFileSync(join(run, "lock-4"), "damaged");
  expect(await findWriter(run, never)).toEqual({ kind: "dead", record: undefined });
});

test("the highest number counts, and of one number the lock that was freed", async () => {
  leave("lock-9", { startTime: "0" });
  leave("lock-10.free", { since: "ten" });
  expect(await findWriter(run, never)).toEqual({ kind: "ended", record: { ...own, since: "ten" } });
  leave("lock-10", { startTime: "0" });
  expect(await findWriter(run, never)).toMatchObject({ kind: "ended" });
  leave("lock-11", { startTime: "0" });
  expect(await findWriter(run, never)).toMatchObject({ kind: "dead" });
});

test("names of locks, of their heartbeats and of those half made are known, and no others", () => {
  const locks = ["lock-1", "lock-10.free", "lock-999999999999999", "lock-2.beat", ".lock-1.5.tmp"];
  expect(locks.filter((name) => !isLockName(name))).toEqual([]);
  const others = [
    "lock-0",
    "lock-01",
    "lock-1.other",
    "lock-",
    "lock-1000000000000000",
    "my-lock-1",
    "lock-1.tmp",
    ".lock-1",
  ];
  expect(others.filter(isLockName)).toEqual([]);
});
