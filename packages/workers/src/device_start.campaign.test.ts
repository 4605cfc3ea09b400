/** Devices that die while they load: the others begin, whoever can be started again is, and nothing is left behind. */
import type { Worker } from "node:worker_threads";
import { InputError } from "@zerogate/core";
import { afterEach, describe, expect, test } from "vitest";
import { adapterAt, bitsOf, openFaulty, setup, until } from "../test/faulty_pool.ts";
import type { DeviceEvent } from "./device_event.ts";
import { openDevices } from "./device_pool.ts";

afterEach(() => {
  process.removeAllListeners("worker");
});

const expected = await openDevices({ workers: 1, setup, maxCells: 8 }).then(async (reference) => {
  const bits = await bitsOf(reference);
  await reference.close();
  return bits;
});

const kinds = (events: readonly DeviceEvent[], device: number) =>
  events.filter((event) => event.device === device).map(({ type }) => type);

/** How many threads that were started after this call are alive. */
function countThreads(): () => number {
  const threads: Worker[] = [];
  process.on("worker", (worker: Worker) => threads.push(worker));
  return () => threads.filter(({ threadId }) => threadId !== -1).length;
}

describe.each([
  { container: "thread", options: {} },
  { container: "process", options: { isolate: {} } },
])("a $container", ({ options }) => {
  test("that dies while it loads is named and started again, and the others begin without it [T-B10]", async () => {
    const { faulty, events } = await openFaulty(2, [], { loads: [[], ["exit", "hang"]], ...options });
    expect(await bitsOf(faulty)).toEqual(expected); // although the second life of worker 1 never loads
    const died = events.find((event) => event.type === "worker-died");
    expect(died).toMatchObject({ device: 1, reason: "worker exited with code: 4", restarts: true });
    expect(died?.lastOperation).toMatch(/^load\b/);
    expect(kinds(events, 0)).toEqual(["worker-started"]);
    expect(kinds(events, 1)).toEqual(["worker-died"]);
  });

  test("that dies twice while it loads works in its third life [T-B10]", async () => {
    const { faulty, events } = await openFaulty(1, [], { loads: [["exit", "exit", "load"]], ...options });
    expect(faulty.engineName).toBe("faulty 0");
    expect(kinds(events, 0)).toEqual(["worker-died", "worker-died", "worker-started"]);
    expect(await bitsOf(faulty)).toEqual(expected);
  });
});

test("the pool is open as soon as one of those that died is there again [T-B10]", async () => {
  const { faulty, events } = await openFaulty(2, [], { loads: [["exit", "hang"], ["exit"]] });
  expect(faulty.engineName).toBe("faulty 1");
  expect(await bitsOf(faulty)).toEqual(expected);
  expect(kinds(events, 0)).toEqual(["worker-died"]);
});

test("workers that all die while they load, again and again, end the start with the reason, and leave no thread [T-B10, T-E3]", async () => {
  const alive = countThreads();
  const events: DeviceEvent[] = [];
  const onEvent = (event: DeviceEvent) => events.push(event);
  await expect(openFaulty(2, [], { maxLoads: 0, onEvent })).rejects.toThrow(
    /^Cannot start computing: all 2 workers died while loading, the last time by: worker exited with code: 4, at load, createEngine \(operation 1\)$/,
  );
  expect(events.filter(({ type }) => type === "worker-died")).toHaveLength(6);
  expect(alive()).toBe(0);
  await expect(openFaulty(1, [], { maxLoads: 0 })).rejects.toThrow(/^Cannot start computing: the only worker died/);
});

test("a pool whose workers throw while they load says what, and leaves no thread [T-E3]", async () => {
  const alive = countThreads();
  const missing = { ...setup, engine: { module: "no-such-engine" } };
  const thrown = await openDevices({ workers: 2, setup: missing, maxCells: 8 }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(InputError);
  expect(thrown).toMatchObject({
    message: expect.stringContaining('Cannot load engine "no-such-engine": Cannot find package'),
  });
  expect(alive()).toBe(0);
  const noEngine = { ...setup, engine: { module: "node:path" } };
  await expect(openDevices({ workers: 1, setup: noEngine, maxCells: 8 })).rejects.toThrow(
    'Cannot load engine "node:path": the module exports no function createEngine',
  );
});

test("a pool that is closed while every worker is started again ends the step [T-E3]", async () => {
  const { faulty, events } = await openFaulty(
    2,
    [
      { kind: "exit", sample: 0 },
      { kind: "exit", sample: 3 },
    ],
    {
      loads: [
        ["load", "hang"],
        ["load", "hang"],
      ],
    },
  );
  const running = faulty.runStep({ step: 4, cells: [[0], [3]], scale: 1, ...adapterAt(1) });
  await until(() => events.filter(({ type }) => type === "worker-died").length === 2);
  await Promise.all([
    expect(running).rejects.toThrow("Cannot finish step 4: the device pool was closed"),
    faulty.close(),
  ]);
});

test("deaths of different steps are not in a row: the worker is started again after each [T-E3]", async () => {
  const { faulty, events, releaseLateThrow } = await openFaulty(1, [{ kind: "late-throw", sample: 11, times: 4 }]);
  for (let round = 1; round <= 4; round++) {
    expect(await bitsOf(faulty)).toEqual(expected);
    releaseLateThrow();
    await until(() => events.filter(({ type }) => type === "worker-died").length === round);
    releaseLateThrow(0);
  }
  expect(await bitsOf(faulty)).toEqual(expected);
  expect(events.flatMap((event) => (event.type === "worker-died" ? [event.restarts] : []))).toEqual(
    Array(4).fill(true),
  );
});

test("a job that failed on a worker waits for another one, and the worker goes on with the rest meanwhile [T-E3]", async () => {
  const threads = new Map<number, Worker>();
  process.on("worker", (worker: Worker) => threads.set(worker.threadId, worker));
  const { faulty, events, hungThread, passes } = await openFaulty(2, [
    { kind: "hang", sample: 0, device: 0 },
    { kind: "throw", sample: 3, device: 1, times: 1 },
  ]);
  const bits = bitsOf(faulty);
  await until(() => hungThread() !== 0 && passes() === 5); // cells 2 to 6; 0 hangs, 1 waits for the other worker
  expect(events.filter(({ type }) => type === "cell-failed")).toMatchObject([{ device: 1, cell: 1 }]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(passes()).toBe(5);
  await threads.get(hungThread())?.terminate();
  expect(await bits).toEqual(expected);
});
