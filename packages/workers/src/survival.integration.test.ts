/** A device that ends, in a thread or in a process of its own, is named and replaced, and no bit of the step changes. */
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { InputError } from "@zerogate/core";
import { baseHash, baseStamp } from "@zerogate/core/node";
import { describe, expect, test } from "vitest";
import { adapterAt, bitsOf, cells, only, open, setup, tinyFolder, until } from "../test/faulty_pool.ts";
import { expected, inCell, isAlive, isolate, lose, startProgram } from "../test/lost_device.ts";
import { markOf, tinyJob, tinySetup } from "../test/tiny_setup.ts";
import type { DeviceEvent } from "./device_event.ts";

describe("a thread that is lost by", () => {
  test.each([
    { kind: "async-throw", reason: /^outside of a call$/, last: inCell },
    { kind: "exit", reason: /^worker exited with code: 3$/, last: inCell },
    { kind: "lost-engine", reason: /^the GPU is gone$/, last: inCell },
  ])("$kind is named with its last operation and replaced", async ({ kind, reason, last }) => {
    const died = await lose(kind);
    expect(died?.reason).toMatch(reason);
    expect(died?.lastOperation).toMatch(last);
  });
});

test("a device's process ends when its parent is killed, also in the middle of an endless loop", async () => {
  const { child, folder } = startProgram("endless-loop", { isolate, patienceMs: 0 });
  const note = join(folder, "looping");
  await until(() => existsSync(note) && readFileSync(note, "utf8") !== "");
  const looping = Number(readFileSync(note, "utf8"));
  expect(isAlive(looping)).toBe(true);
  child.kill("SIGKILL");
  await until(() => !isAlive(looping));
});

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
    { kind: "SIGKILL", reason: /^its process was ended by SIGKILL; it wrote: about to get SIGKILL$/ },
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

test("a process refuses a base that is not the run's, also if it took its place later", async () => {
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
