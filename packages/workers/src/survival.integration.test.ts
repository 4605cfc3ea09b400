/** Whatever ends a device, in a thread or in a process of its own: it is named, replaced, and no bit of the step changes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { DeadlyCellError, InputError } from "@zerogate/core";
import { baseHash, baseStamp } from "@zerogate/core/node";
import { describe, expect, test } from "vitest";
import {
  adapterAt,
  bitsOf,
  cells,
  only,
  open,
  openFaulty,
  setup,
  step,
  tinyFolder,
  until,
} from "../test/faulty_pool.ts";
import { markOf, tinyJob, tinySetup } from "../test/tiny_setup.ts";
import type { DeviceEvent } from "./device_event.ts";
import { type DevicePoolOptions, openDevices } from "./device_pool.ts";

/** Short, because hung devices must be waited for. */
const patienceMs = 200;
const isolate = {};

const expected = await openDevices({ workers: 1, setup, maxCells: 8 }).then(async (reference) => {
  const bits = await bitsOf(reference);
  await reference.close();
  return bits;
});

/** One device of two is lost at sample 4; returns how it was told. */
async function lose(kind: string, options: Partial<DevicePoolOptions>) {
  const { faulty, events } = await openFaulty(2, [{ kind, sample: 4 }], { patienceMs, ...options });
  expect(await bitsOf(faulty)).toEqual(expected);
  const [died, ...more] = events.filter((event) => event.type === "worker-died");
  expect(more).toEqual([]);
  expect(died).toMatchObject({ restarts: true });
  const cellsRedone = expect.arrayContaining([1]);
  expect(events).toContainEqual({ type: "cells-redone", device: died?.device, of: "step 4", cells: cellsRedone });
  expect(await bitsOf(faulty)).toEqual(expected);
  return died;
}

const silence = /^no sign of life for \d/;
const inCell = /^step 4 cell 1, \w+ \(operation \d+\)$/;

describe("a thread that is lost by", () => {
  test.each([
    { kind: "async-throw", reason: /^outside of a call$/, last: inCell },
    { kind: "exit", reason: /^worker exited with code: 3$/, last: inCell },
    { kind: "lost-engine", reason: /^the GPU is gone$/, last: inCell },
    { kind: "hang", reason: silence, last: /^step 4 cell 1, read \(operation \d+\)$/ },
    { kind: "endless-loop", reason: silence, last: /^step 4 cell 1, embed \(operation \d+\)$/ },
    { kind: "heap", reason: /memory limit/, last: /^step 4 cell 1, embed \(operation \d+\)$/ },
  ])("$kind is named with its last operation and replaced", async ({ kind, reason, last }) => {
    const died = await lose(kind, kind === "heap" ? { patienceMs: 20_000 } : {});
    expect(died?.reason).toMatch(reason);
    expect(died?.lastOperation).toMatch(last);
  });

  test("being stuck in native code is replaced, and the process that holds it still ends, by SIGKILL", async () => {
    // In a process of its own, because nothing but the end of that process ends the thread.
    const begin = performance.now();
    const { child } = startProgram("stuck-in-native-code");
    let told = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      told += text;
    });
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    expect({ code, signal }).toEqual({ code: null, signal: "SIGKILL" });
    expect(performance.now() - begin).toBeLessThan(9000); // the thread is stuck for 10 s
    const { reasons, sums } = JSON.parse(told) as { reasons: string[]; sums: number[] };
    expect(Int32Array.from(sums)).toEqual(expected);
    expect(reasons).toMatchObject([expect.stringMatching(silence)]);
  });
});

/** A process with two devices of its own, one of which is lost at sample 4 of a step. */
function startProgram(kind: string, options: Partial<DevicePoolOptions> = {}) {
  const weights = tinyFolder();
  const faults = [{ kind, token: markOf(4) }];
  const module = new URL("../test/faulty_engine.mjs", import.meta.url).href;
  const engine = { module, options: { faults, folder: weights.folder } };
  const { ids, target, offsets } = setup.tokens.train;
  const tokens = { ids: [...ids], target: [...target], offsets: [...offsets] };
  const plain = { ...setup, engine, jobs: [{ ...only, params: [...only.params] }], tokens, weights };
  const child = spawn(process.execPath, [fileURLToPath(new URL("../test/step_program.mjs", import.meta.url))]);
  child.stdin.end(JSON.stringify({ setup: plain, step, maxCells: 8, patienceMs, ...options }));
  return { child, folder: weights.folder };
}

test("a device's process ends when its parent is killed, also in the middle of an endless loop", async () => {
  const { child, folder } = startProgram("endless-loop", { isolate, patienceMs: 0 });
  const note = join(folder, "looping");
  await until(() => existsSync(note) && readFileSync(note, "utf8") !== "");
  const looping = Number(readFileSync(note, "utf8"));
  expect(isAlive(looping)).toBe(true);
  child.kill("SIGKILL");
  await until(() => !isAlive(looping));
});

test.skipIf(!existsSync("/proc/self/ns"))(
  "a process that is stopped while its parent is killed stays, until the next pool is opened (skipped without /proc)",
  async () => {
    const { child, folder } = startProgram("endless-loop", { isolate, patienceMs: 0 });
    const note = join(folder, "looping");
    await until(() => existsSync(note) && readFileSync(note, "utf8") !== "");
    const stopped = Number(readFileSync(note, "utf8"));
    process.kill(stopped, "SIGSTOP");
    await until(() => readFileSync(`/proc/${stopped}/stat`, "latin1").includes(") T "));
    await open(1); // not an orphan yet
    expect(isAlive(stopped)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(() => !readFileSync(`/proc/${stopped}/stat`, "latin1").includes(`) T ${child.pid} `));
    expect(isAlive(stopped)).toBe(true);
    await open(1);
    await until(() => !isAlive(stopped));
  },
);

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return !readFileSync(`/proc/${processId}/stat`, "latin1").includes(") Z ");
  } catch {
    return false;
  }
}

test.each([1, 2, 3])("%i processes give the same bits as one thread, step after step", async (workers) => {
  const pool = await open(workers, { setup: { ...setup, weights: tinyFolder() }, isolate });
  expect(pool.engineName).toBe("reference");
  for (let i = 0; i < 3; i++) expect(await bitsOf(pool)).toEqual(expected);
});

test("processes read new parameters when the version changes, evaluate and generate as threads do", async () => {
  const job = tinyJob(only.id);
  const own = tinySetup([job]);
  const [thread, child] = [
    await open(1, { setup: own }),
    await open(2, { setup: { ...own, weights: tinyFolder() }, isolate }),
  ];
  const evaluation = { set: "train", cells };
  const prompts = [0, 1, 2].map((sample) => [1, markOf(sample)]);
  const generation = { prompts, options: { maxNewTokens: 4 } };
  const results = [];
  for (const version of [1, 2]) {
    const adapter = adapterAt(version);
    results.push(await child.evaluate({ ...evaluation, adapter }));
    expect(results.at(-1)).toEqual(await thread.evaluate({ ...evaluation, adapter }));
    expect(await child.generateAll({ ...generation, adapter })).toEqual(
      await thread.generateAll({ ...generation, adapter }),
    );
    job.params.fill(0.01);
  }
  expect(results[0]).not.toEqual(results[1]);
});

describe("a process that is lost by", () => {
  test.each([
    { kind: "exit", reason: /^worker exited with code: 3$/ },
    { kind: "async-throw", reason: /^outside of a call$/ },
    { kind: "hang", reason: silence },
    { kind: "endless-loop", reason: silence },
    { kind: "stuck-in-native-code", reason: silence },
    { kind: "SIGKILL", reason: /^its process was ended by SIGKILL; it wrote: about to get SIGKILL$/ },
    { kind: "SIGSEGV", reason: /^its process was ended by SIGSEGV; it wrote: about to get SIGSEGV$/ },
    { kind: "SIGSTOP", reason: silence },
  ])("$kind is named with its last operation and replaced", async ({ kind, reason }) => {
    const died = await lose(kind, { isolate });
    expect(died?.reason).toMatch(reason);
    expect(died?.lastOperation).toMatch(/^step 4 cell 1\b/);
  });

  test.each([
    { what: "what is no frame", bytes: "00".repeat(12), reason: /sent a frame with a broken header/ },
    {
      what: "a frame that is too long",
      bytes: header(0xffff_ffff, 0),
      reason: /sent a frame of 4294967295 bytes, at most \d+/,
    },
    {
      what: "a frame of another length than it says",
      bytes: `${header(3, crc32(Buffer.from("c0", "hex")))}c0`,
      reason: /of 3 bytes with a wrong checksum/,
    },
    {
      what: "a frame that is not what was sent",
      bytes: `${header(1, 0)}c0`,
      reason: /of 1 bytes with a wrong checksum/,
    },
  ])("sending $what is refused and replaced", async ({ bytes, reason }) => {
    expect((await lose(bytes, { isolate }))?.reason).toMatch(reason);
  });
});

/** Of a frame, with a right checksum of its own, in hexadecimal. */
function header(length: number, bodyCrc: number): string {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt32LE(bodyCrc, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8);
  return bytes.toString("hex");
}

describe.each([
  { container: "thread", options: {} },
  { container: "process", options: { isolate } },
])("a $container", ({ options }) => {
  test("that is slow but alive is never taken for hung", async () => {
    // Its first cell takes longer than the patience for it (1 s), in operations of 60 ms.
    const { faulty, events } = await openFaulty(1, [{ kind: "slow", sample: 0 }], { patienceMs, ...options });
    expect(await bitsOf(faulty)).toEqual(expected);
    expect(events.map(({ type }) => type)).toEqual(["worker-started"]);
  });

  test("that hangs at one cell twice ends the step with the cell and its samples, and the pool goes on", async () => {
    const faults = [{ kind: "endless-loop", sample: 9, times: 2 }];
    const { faulty } = await openFaulty(2, faults, { patienceMs, ...options });
    const thrown = await faulty.runStep(step).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(DeadlyCellError);
    expect(thrown).toMatchObject({ of: "step 4", cell: 4, samples: [8, 9] });
    expect(String(thrown)).toMatch(
      /cell 4 \(samples 8, 9\) ended two workers, last by: no sign of life for \S+ s, at step 4 cell 4, embed \(operation \d+\)$/,
    );
    expect(await bitsOf(faulty)).toEqual(expected);
  });

  test("that cannot be started again is given up, and the others finish", async () => {
    const { faulty, events } = await openFaulty(2, [{ kind: "exit", sample: 5 }], { maxLoads: 2, ...options });
    expect(await bitsOf(faulty)).toEqual(expected);
    // However many steps are over before: they forgive those only who live through them.
    while (!events.some((event) => event.type === "worker-died" && !event.restarts)) {
      expect(await bitsOf(faulty)).toEqual(expected);
    }
    expect(await bitsOf(faulty)).toEqual(expected);
  });

  test("that is closed in the middle of an endless loop ends", async () => {
    const { faulty } = await openFaulty(2, [{ kind: "endless-loop", sample: 0 }], options);
    const running = faulty.runStep(step);
    setTimeout(() => void faulty.close(), 50);
    await expect(running).rejects.toThrow("Cannot finish step 4: the device pool was closed");
  });
});

test("a process refuses a base that is not the run's, also where it took its place later", async () => {
  const weights = tinyFolder();
  const path = join(weights.folder, "model.safetensors");
  writeFileSync(join(weights.folder, "config.json"), "{}"); // part of what names a base
  const base = { hash: await baseHash(weights.folder), stamp: await baseStamp(weights.folder) };
  const engine = {
    module: new URL("../test/faulty_engine.mjs", import.meta.url).href,
    options: { faults: [{ kind: "SIGKILL", token: markOf(4) }], folder: weights.folder },
  };
  const events: DeviceEvent[] = [];
  const onEvent = (event: DeviceEvent) => events.push(event);
  const own = { ...setup, engine, weights: { ...weights, base } };
  utimesSync(path, 1, 1); // touched, but the same
  const pool = await open(2, { setup: own, isolate, onEvent });

  const other = readFileSync(path);
  other.writeUInt8(other.readUInt8(other.length - 1) ^ 1, other.length - 1);
  writeFileSync(path, other);
  expect(await bitsOf(pool)).toEqual(expected); // by the other one: the process that ended is not started again
  await until(() => events.some((event) => event.type === "worker-died" && !event.restarts));
  const refused = `Cannot use the base in ${weights.folder}: its files are no longer those that the run began with`;
  const reasons = events.flatMap((event) => (event.type === "worker-died" ? [event.reason] : []));
  expect(new Set(reasons.slice(1))).toEqual(new Set([refused]));
  const thrown = await open(1, { setup: own, isolate }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(InputError);
  expect(String(thrown)).toContain(refused);
});

test("processes need the weights' folder, and each gets an environment of its own", async () => {
  await expect(open(1, { isolate })).rejects.toThrow("weights must be named by their folder");
  const engine = { module: new URL("../test/telling_engine.mjs", import.meta.url).href };
  const env = (device: number) => ({ CUDA_VISIBLE_DEVICES: String(device + 5) });
  const names: string[] = [];
  const pool = await open(2, {
    setup: { ...setup, engine, weights: tinyFolder() },
    isolate: { env },
    onEvent: (event) => event.type === "worker-started" && names.push(event.engineName),
  });
  expect(names.toSorted()).toEqual(["sees 5 as device 0", "sees 6 as device 1"]);
  expect(await bitsOf(pool)).toEqual(expected);
});
