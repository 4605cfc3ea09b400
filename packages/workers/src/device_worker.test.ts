/** A device's calls in its own thread's words, without a thread: over two ports of this one. */

import { readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { cellScores, createModel, createReferenceEngine, InputError, packCell } from "@zerogate/core";
import { baseHash, baseStamp } from "@zerogate/core/node";
import { addSlot, createSlot, slotTotals } from "@zerogate/core/training";
import { wrap } from "comlink";
import { afterEach, expect, test } from "vitest";
import { adapterAt, labelledTokens, only, setup, tinyFolder } from "../test/faulty_pool.ts";
import { tinyJob } from "../test/tiny_setup.ts";
import { keepErrorClasses } from "./comlink_errors.ts";
import type { DeviceApi, DeviceSetup } from "./device_api.ts";
import { serve } from "./device_worker.ts";
import { createPulse, readPulse } from "./pulse.ts";
import { sharedMemory } from "./shared_memory.ts";

let close = (): void => {};
afterEach(() => close());

function openDevice() {
  keepErrorClasses();
  const { port1, port2 } = new MessageChannel();
  const pulse = createPulse();
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const serving = new Promise((resolve) => port1.once("message", resolve));
  const ended = serve({ port: port2, pulse, cancel });
  close = () => port1.close();
  return { api: wrap<DeviceApi>(port1), pulse, cancel, serving, ended };
}
const load = async (changes: Partial<DeviceSetup> = {}) => {
  const device = openDevice();
  await device.api.load({ ...setup, ...changes }, 0);
  return device;
};
const cellOf = (samples: number[]) => {
  const slot = createSlot({ parameters: only.layout.length, maxCells: 8 }, sharedMemory);
  return { step: 1, cell: 3, samples, scale: 1 / labelledTokens, ...adapterAt(1), slot, clears: false };
};

test("a device says that it serves, and ends when the other end is closed", async () => {
  const { serving, ended } = openDevice();
  expect(await serving).toBe("serving");
  close();
  await ended;
});

test("nothing is computed before a model is loaded", async () => {
  const { api } = openDevice();
  const job = { set: "train", samples: [0], adapter: adapterAt(1) };
  await expect(api.evaluateCell(job)).rejects.toThrow("Cannot use a device: it has no model, `load` comes first");
  await expect(api.computeCell(cellOf([0]))).rejects.toThrow("it has no model");
});

/** The operations that a pulse is given from here on. */
function operationsOf(pulse: ReturnType<typeof createPulse>): Set<string> {
  const operations = new Set<string>();
  const set = pulse.name.set.bind(pulse.name);
  pulse.name.set = (bytes) => {
    operations.add(String.fromCharCode(...Array.from(bytes)).replaceAll("\0", ""));
    set(bytes);
  };
  return operations;
}

test("loading beats by what it does", async () => {
  const { api, pulse } = openDevice();
  const operations = operationsOf(pulse);
  expect(await api.load({ ...setup, weights: tinyFolder() }, 0)).toEqual({ engineName: "reference" });
  expect([...operations].slice(0, 2)).toEqual(["createEngine", "loadWeights"]);
  const other = openDevice();
  const others = operationsOf(other.pulse);
  await other.api.load(setup, 0);
  expect([...others][0]).toBe("createEngine");
  expect(others).not.toContain("loadWeights");
});

test("a cell adds its gradient to its slot, with its loss, its tokens and its time", async () => {
  const { api, pulse } = await load();
  const job = cellOf([0, 1]);
  const { computeMs, ...result } = await api.computeCell(job);
  const { loss } = await scoresOf([0, 1]);
  expect(result).toMatchObject({ cell: 3, labelledTokens: loss.length, bad: undefined });
  expect(result.lossSum).toBeCloseTo(
    loss.reduce((a, b) => a + b, 0),
    5,
  );
  expect(computeMs).toBeGreaterThan(0);
  expect(computeMs).toBeLessThan(600_000);
  expect(slotTotals(job.slot)).toMatchObject({ labelledTokens: loss.length });
  expect(readPulse(pulse).beats).toBeGreaterThan(10);
});

test("a slot that holds an earlier step is emptied first if the request says so, and added to if it does not", async () => {
  const { api } = await load();
  const [first, again, both] = [cellOf([0, 1]), cellOf([0, 1]), cellOf([0, 1])];
  await api.computeCell(first);
  again.slot.sums.fill(7);
  await api.computeCell({ ...again, clears: true });
  expect(again.slot.sums).toEqual(first.slot.sums);
  await api.computeCell(both);
  await api.computeCell(both);
  addSlot(first.slot, again.slot);
  expect(both.slot.sums).toEqual(first.slot.sums);
});

/** Losses of the labelled tokens of these samples, with the adapter, by the engine itself. */
async function scoresOf(samples: number[], of = setup) {
  if (!("bytes" in of.weights)) throw new Error("the setup's weights are in memory");
  const model = createModel(createReferenceEngine(), of.config, of.weights);
  const adapter = only;
  const scores = await cellScores(model, adapter, packCell(of.tokens.train, samples));
  return { loss: [...scores.nll_R], hits: [...scores.hit_R] };
}

test("a sample counts as exact if all of its labelled tokens are hit, each sample for itself", async () => {
  const { api } = await load();
  const exactOf = async (samples: number[]) =>
    (await api.evaluateCell({ set: "train", samples, adapter: adapterAt(1) })).exactSamples;
  const all = [...Array(12).keys()];
  const expected = await Promise.all(
    all.map(async (i) => ((await scoresOf([i])).hits.every((hit) => hit === 1) ? 1 : 0)),
  );
  for (const i of all) expect(await exactOf([i])).toBe(expected[i]);
  expect(await exactOf(all)).toBe(expected.reduce((a: number, b) => a + b, 0));
  // A set in which nothing is labelled has nothing wrong.
  const nothing = await api.evaluateCell({ set: "empty", samples: [0, 1, 2], adapter: adapterAt(1) });
  expect(nothing).toEqual({ lossSum: 0, labelledTokens: 0, exactSamples: 3 });
});

test("an evaluation names its set and may leave the adapter out; a set that is not there is refused by name", async () => {
  const { api } = await load();
  const job = { set: "train", samples: [0] };
  const [with_, without] = [
    await api.evaluateCell({ ...job, adapter: adapterAt(1) }),
    await api.evaluateCell({ ...job, adapter: undefined }),
  ];
  expect(with_.lossSum).not.toBe(without.lossSum);
  await expect(api.evaluateCell({ ...job, adapter: adapterAt(1), set: "test" })).rejects.toThrow(
    'Cannot evaluate on "test": there is train, empty',
  );
});

test("parameters are copied once a version", async () => {
  const job = tinyJob(only.id);
  const { params } = job;
  const { api } = await load({ jobs: [job] });
  const lossAt = async (version: number) =>
    (await api.evaluateCell({ set: "train", samples: [0, 1], adapter: adapterAt(version) })).lossSum;
  const first = await lossAt(1);
  params.fill(0.5);
  expect(await lossAt(1)).toBe(first);
  const second = await lossAt(2);
  expect(second).not.toBe(first);
  params.set(only.params);
  expect(await lossAt(2)).toBe(second);
  expect(await lossAt(1)).toBe(first);
});

test("generation ends with the reason, and depends on the adapter only if it is asked for", async () => {
  const { api } = await load();
  const job = { promptIds: [16, 3], adapter: adapterAt(1), options: { maxNewTokens: 5 } };
  const { ids, finishReason } = await api.generate(job);
  expect([ids.length, finishReason]).toEqual([5, "length"]);
  const { ids: one } = await api.generate({ ...job, options: { maxNewTokens: 1 } });
  expect(one).toEqual(ids.slice(0, 1));
  const ended = await api.generate({ ...job, options: { maxNewTokens: 5, eosTokenIds: [ids[0] ?? 0] } });
  expect(ended.finishReason).toBe("eos");
  await expect(api.generate({ ...job, promptIds: [] })).rejects.toBeInstanceOf(InputError);
});

test("an engine that was cancelled begins no operation", async () => {
  const { api, cancel } = await load();
  Atomics.store(cancel, 0, 1);
  await expect(api.computeCell(cellOf([0]))).rejects.toThrow("cancel");
});

test.each([
  ["no-such-engine", /Cannot load engine "no-such-engine": /],
  ["node:path", 'Cannot load engine "node:path": the module exports no function createEngine'],
])("the engine module %s is refused by name", async (module, says) => {
  const error = await openDevice()
    .api.load({ ...setup, engine: { module } }, 0)
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toMatch(says);
});

test("a base that each worker reads must be the one that is named, by its hash if its stamp changed", async () => {
  const weights = tinyFolder();
  const path = join(weights.folder, "model.safetensors");
  writeFileSync(join(weights.folder, "config.json"), "{}");
  const base = { hash: await baseHash(weights.folder), stamp: await baseStamp(weights.folder) };
  await load({ weights: { ...weights, base } });
  utimesSync(path, 1, 1);
  await load({ weights: { ...weights, base } });
  const refused = `Cannot use the base in ${weights.folder}: its files are no longer those`;
  const device = openDevice();
  await expect(device.api.load({ ...setup, weights: { ...weights, base: { ...base, hash: "x" } } }, 0)).rejects.toThrow(
    refused,
  );
  rmSync(path);
  await expect(device.api.load({ ...setup, weights: { ...weights, base } }, 0)).rejects.toThrow(weights.folder);
});

test("a base that is replaced while it is read is found afterwards", async () => {
  const weights = tinyFolder();
  const path = join(weights.folder, "model.safetensors");
  writeFileSync(join(weights.folder, "config.json"), "{}");
  const base = { hash: await baseHash(weights.folder), stamp: await baseStamp(weights.folder) };
  const { open } = promises;
  const change = (to: typeof open) => {
    promises.open = to;
    syncBuiltinESMExports();
  };
  change(async (name, ...more) => {
    const file = await open(name, ...more);
    if (String(name) !== path) return file;
    change(open);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(path, bytes);
    return file;
  });
  try {
    await expect(openDevice().api.load({ ...setup, weights: { ...weights, base } }, 0)).rejects.toThrow(
      `Cannot use the base in ${weights.folder}: its files are no longer those`,
    );
  } finally {
    change(open);
  }
});

test("gradients are added by the setup's module of sums, if the engine has no sums of its own", async () => {
  const sums = "data:text/javascript,export const addFixedPoint = (sum) => { sum[0] = 12345; return 0; }";
  const [plain, own] = [await load(), await load({ sums })];
  const cells = [cellOf([0]), cellOf([0])] as const;
  await plain.api.computeCell(cells[0]);
  await own.api.computeCell(cells[1]);
  expect(cells[0].slot.sums.subarray(0, 200).some((word) => word !== 0 && word !== 12345)).toBe(true);
  expect([...cells[1].slot.sums.subarray(0, 3)]).toEqual([12345, 0, 0]);
});

test("what images need in float64 is computed by the setup's module of sums", async () => {
  const vision = { fusion: "global", featureSize: 2, projectionSize: 3, missingImage: "none" } as const;
  const job = tinyJob("seeing", { vision });
  const images = { rowOf: new Int32Array(12), rows: { values: Float32Array.of(1, -2), size: 2 } };
  const seeing = { jobs: [job], tokens: { ...setup.tokens, train: { ...setup.tokens.train, images } } };
  const slot = createSlot({ parameters: job.layout.length, maxCells: 8 }, sharedMemory);
  const cell = { ...cellOf([0]), slot, job: "seeing", version: 1 };
  const module = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const add = "export const addFixedPoint = () => 0;";
  const fail = (name: string) => `export const ${name} = () => { throw new Error("this is ${name}") };`;
  const both = module(`${add} ${fail("wideLinear")} ${fail("wideLinearBackward")}`);
  await expect((await load({ ...seeing, sums: both })).api.computeCell(cell)).rejects.toThrow("this is wideLinear");
  for (const sums of [undefined, module(add)]) {
    expect(await (await load({ ...seeing, sums })).api.computeCell(cell)).toMatchObject({ bad: undefined });
  }
});
