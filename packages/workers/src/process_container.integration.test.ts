/** What a device's process is given and how its end is reported: real processes, some of which never come to their program. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { TokenSet } from "@zerogate/core";
import { createSlot } from "@zerogate/core/training";
import { afterEach, expect, test } from "vitest";
import { adapterAt, only, open, setup, tinyFolder } from "../test/faulty_pool.ts";
import { tinyJob, tinySetup } from "../test/tiny_setup.ts";
import { totalOf } from "../test/total.ts";
import type { Container } from "./container.ts";
import { startProcess } from "./process_container.ts";
import type { ShareSum } from "./step_sum.ts";

const started: Container[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((container) => container.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function start(env: Readonly<Record<string, string>> = {}): Container {
  const container = startProcess(setup, 8, env);
  started.push(container);
  return container;
}

/** A process that runs this before its program. */
function startWith(script: string): Container {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-process-"));
  folders.push(folder);
  const path = join(folder, "before.cjs");
  writeFileSync(path, script);
  return start({ NODE_OPTIONS: `--require ${path}` });
}

test("a process that ends by itself is reported by its code or signal, with what it wrote last on one line", async () => {
  expect(await startWith("process.exit(7)").ended).toBe("its process ended with code 7");
  const both = startWith('console.log("  one\\n\\n  two"); console.error("three"); process.exit(0)');
  expect(await both.ended).toMatch(/^its process ended with code 0; it wrote: (one ⏎ two ⏎ three|three ⏎ one ⏎ two)$/);
  const killed = startWith("process.kill(process.pid, 'SIGTERM'); for (;;);");
  expect(await killed.ended).toBe("its process was ended by SIGTERM");
});

test("of a long output the last thousand characters are reported", async () => {
  const ended = await startWith('process.stdout.write("a".repeat(3000) + "b".repeat(600)); process.exit(1)').ended;
  expect(ended).toBe(`its process ended with code 1; it wrote: ${"a".repeat(400)}${"b".repeat(600)}`);
});

test("a process that cannot be started is reported as such, and its stop has nothing to wait for", async () => {
  const { execPath } = process;
  process.execPath = join(tmpdir(), "zerogate-no-such-node");
  try {
    const container = start();
    expect(await container.ended).toMatch(/^its process did not start: spawn .*zerogate-no-such-node ENOENT$/);
    expect(container.pulse()).toEqual({ beats: 0, operation: "", thread: 0 });
    await container.stop();
  } finally {
    process.execPath = execPath;
  }
});

test("a stop waits until the process is gone, also if it has ended before", async () => {
  const container = start();
  await container.api.load({ ...setup, weights: tinyFolder() }, 0);
  expect(container.pulse()).toMatchObject({ beats: expect.any(Number), thread: expect.any(Number) });
  expect(container.pulse().beats).toBeGreaterThan(0);
  await container.stop();
  expect(await container.ended).toBe("its process was ended by SIGKILL");
  await container.stop();
  const over = startWith("process.exit(0)");
  await over.ended;
  await over.stop();
});

test("a process that holds its output open after its end delays nobody", async () => {
  const container = startWith(
    'require("node:child_process").spawn("sleep", ["20"], { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref(); process.exit(3)',
  );
  const told = await Promise.race([container.ended, sleep(15_000)]);
  expect(told).toBe("its process ended with code 3");
});

test.skipIf(!existsSync("/proc/self/schedstat"))(
  "until a process has told its thread's number, its main thread's wait for a processor counts (skipped without /proc)",
  async () => {
    const container = startWith("for (const end = Date.now() + 60_000; Date.now() < end; );");
    let waited = 0;
    for (let i = 0; i < 3000 && waited === 0; i++) {
      await sleep(10);
      waited = container.waitedMs();
    }
    expect(waited).toBeGreaterThan(0);
    expect(container.pulse().thread).toBe(0);
  },
);

test("weights in memory are refused by a process, which shares none", async () => {
  expect(() => start().api.load(setup, 0)).toThrow("Cannot load a process: its weights must be named by their folder");
});

/** 150,000 samples of five tokens behind those of the setup. */
function manyTokens({ ids, target, offsets, hash }: TokenSet): TokenSet {
  const [samples, tokens] = [150_000, 750_000];
  const more = new Int32Array(new SharedArrayBuffer(4 * (ids.length + tokens)));
  more.fill(3);
  more.set(ids);
  const learnt = new Uint8Array(new SharedArrayBuffer(target.length + tokens));
  learnt.set(target);
  const places = Float64Array.from({ length: offsets.length + samples }, (_, i) => {
    return offsets[i] ?? ids.length + 5 * (i - offsets.length + 1);
  });
  return { ids: more, target: learnt, offsets: places, hash };
}

test("tokens far beyond a mebibyte reach a process", async () => {
  const tokens = { train: manyTokens(setup.tokens.train) };
  const pool = await open(1, { setup: { ...setup, tokens, weights: tinyFolder() }, isolate: {} });
  const job = { set: "train", cells: [[0], [100_000]], adapter: adapterAt(1) };
  const alone = await open(1);
  const { lossSum } = await alone.evaluate({ ...job, cells: [[0]] });
  expect(await pool.evaluate(job)).toMatchObject({ lossSum });
});

test("parameters beyond a mebibyte go down to a process, and their sum, with a place for many cells, comes up", async () => {
  const large = tinyJob(only.id, { promptLength: 20_000 });
  large.params.fill(0.01);
  expect(large.params.byteLength).toBeGreaterThan(2 ** 20);
  const own = tinySetup([large]);
  const job = { step: 1, cells: [[0]], scale: 1, ...adapterAt(1) };
  const thread = await open(1, { setup: own, maxCells: 1 });
  const expected = totalOf(await thread.runStep(job)).sums;
  const child = await open(1, { setup: { ...own, weights: tinyFolder() }, maxCells: 1, isolate: {} });
  expect(totalOf(await child.runStep(job)).sums).toEqual(expected);
  const cells = Array.from({ length: 200_000 }, (_, cell) => (cell === 0 ? [0] : []));
  const many = await open(1, { setup: { ...setup, weights: tinyFolder() }, maxCells: cells.length, isolate: {} });
  const [sum] = await many.addCells([{ step: { ...job, scale: 1e-3, cells }, numbers: [0] }]);
  const { badCells } = sum as ShareSum;
  const slot = totalOf(sum as ShareSum);
  expect(slot.sums).toHaveLength(createSlot({ parameters: only.layout.length, maxCells: cells.length }).sums.length);
  expect(slot.sums.some((word) => word !== 0)).toBe(true);
  expect(badCells).toEqual([]);
});

test("what a process is at is known while it is at it, from its first operation on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-process-"));
  folders.push(folder);
  const path = join(folder, "engine.mjs");
  writeFileSync(path, "export const createEngine = () => new Promise(() => setInterval(() => {}, 1000));");
  const container = start();
  const engine = { module: pathToFileURL(path).href };
  void container.api.load({ ...setup, weights: tinyFolder(), engine }, 0).catch(() => {});
  for (let i = 0; i < 1500 && container.pulse().beats === 0; i++) await sleep(10);
  expect(container.pulse()).toMatchObject({ beats: 1, operation: "createEngine" });
});
