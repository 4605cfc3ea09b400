import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { beatOf, watchBeat } from "./lock_beat.ts";

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-beat-"));
  lock = join(folder, "lock-1");
  writeFileSync(lock, "mine");
});
afterEach(() => rmSync(folder, { recursive: true }));

const soon = { everyMs: 20, deadAfterMs: 300 };
/** What the watch finds, and how often it says that it takes a while. */
async function watch(times = soon) {
  let waits = 0;
  const found = await watchBeat(lock, "mine", times, () => waits++);
  return { found, waits };
}

test("a lock without a heart is silent", async () => {
  expect(await watch()).toEqual({ found: "silent", waits: 0 });
});

test("a heart that does not move is still once that time has passed, and the wait is reported once", async () => {
  writeFileSync(beatOf(lock), "1");
  const begin = performance.now();
  expect(await watch()).toEqual({ found: "still", waits: 1 });
  expect(performance.now() - begin).toBeGreaterThan(soon.deadAfterMs - 1);
});

test("a heart that moves beats, however long a dead one would be waited for", async () => {
  writeFileSync(beatOf(lock), "1");
  let beat = 1;
  const heart = setInterval(() => writeFileSync(beatOf(lock), String(++beat)), 15);
  try {
    expect(await watch({ everyMs: 20, deadAfterMs: 600_000 })).toMatchObject({ found: "beats" });
  } finally {
    clearInterval(heart);
  }
});

test.each(["another", undefined])("a lock that became %s in the meantime is changed", async (text) => {
  writeFileSync(beatOf(lock), "1");
  setTimeout(() => (text === undefined ? rmSync(lock) : writeFileSync(lock, text)), 30);
  expect(await watch({ everyMs: 20, deadAfterMs: 600_000 })).toMatchObject({ found: "changed" });
});

test("any other error of the disk is reported", async () => {
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "a file in the folder's place");
  await expect(watch()).rejects.toThrow("ENOTDIR");
});
