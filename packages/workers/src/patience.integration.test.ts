import { spawn } from "node:child_process";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { createPatience, processorWait, watch } from "./patience.ts";

/** Blocks this thread: nothing of the coordinator runs meanwhile, as when the machine sleeps. */
const suspend = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test("time in which the coordinator did not run is no silence of a device", async () => {
  let beats = 0;
  const silences: number[] = [];
  const end = watch({ beats: () => beats, waitedMs: () => 0, limit: () => 250, onSilence: (ms) => silences.push(ms) });
  for (let i = 0; i < 3; i++) {
    suspend(700);
    await sleep(1); // the clock has ticked, which was due before this; then the device shows that it lives
    beats++;
    await sleep(150); // seen by the next tick
  }
  end();
  expect(silences).toEqual([]);
});

test("silence is reported once, and time in which the device waited for a processor does not count", async () => {
  const begin = performance.now();
  const silence = (waitedMs: () => number) =>
    new Promise<number>((resolve) => {
      watch({ beats: () => 1, waitedMs, limit: () => 250, onSilence: () => resolve(performance.now() - begin) });
    });
  // The second one waited for a processor in half of the time.
  const [idle, waiting] = await Promise.all([silence(() => 0), silence(() => (performance.now() - begin) / 2)]);
  expect(idle).toBeGreaterThan(250);
  expect(waiting).toBeGreaterThan(500);
});

test("patience scales with the longest cell, is larger at first, and doubles when it ran out", () => {
  const patience = createPatience(1000);
  expect([0, 1, 2, 3].map(patience.limit)).toEqual([15_000, 5000, 1000, 1000]); // load, first cell, then the others
  patience.learn(50);
  patience.learn(200);
  patience.learn(100);
  expect([1, 2].map(patience.limit)).toEqual([6600, 2600]);
  patience.grow();
  expect(patience.limit(2)).toBe(5200);
  expect(createPatience(0).limit(2)).toBe(Number.POSITIVE_INFINITY);
});

test.skipIf(process.platform !== "linux")("the wait for a processor is read from the system (Linux only)", async () => {
  const child = spawn(process.execPath, ["-e", "for (;;);"]);
  try {
    const pid = child.pid ?? 0;
    while (processorWait(pid, pid) === 0) await turn();
    expect(processorWait(pid, pid)).toBeLessThan(60_000);
    expect(processorWait(pid, 0)).toBe(0);
    expect(processorWait(pid, 2 ** 22 + 1)).toBe(0); // no thread has this number
  } finally {
    child.kill("SIGKILL");
  }
});
