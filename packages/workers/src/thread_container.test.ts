/** A device's thread, from its first message to its end. */
import type { Worker } from "node:worker_threads";
import { InputError } from "@zerogate/core";
import { afterEach, expect, test } from "vitest";
import { adapterAt, setup } from "../test/faulty_pool.ts";
import { builtFile } from "./built_file.ts";
import { referenceEngine } from "./reference_engine.ts";
import { startThread } from "./thread_container.ts";

afterEach(() => {
  process.removeAllListeners("worker");
});

test("a thread loads, beats, signs its pulse and ends when it is stopped, which is waited for", async () => {
  const threads: Worker[] = [];
  process.on("worker", (worker: Worker) => threads.push(worker));
  const container = startThread();
  expect(container.pulse()).toEqual({ beats: 0, operation: "", thread: 0 });
  expect(await container.api.load(setup, 0)).toEqual({ engineName: "reference" });
  expect(container.pulse().beats).toBeGreaterThan(0);
  expect(container.pulse().thread === 0).toBe(process.platform !== "linux");
  expect(container.waitedMs()).toBeGreaterThanOrEqual(0);
  await container.stop();
  expect(threads.length).toBeGreaterThan(0);
  expect(threads.filter(({ threadId }) => threadId !== -1)).toEqual([]);
  expect(await container.ended).toBeDefined();
});

test("a thread that is stopped before it serves ends as well", async () => {
  const container = startThread();
  await container.stop();
  expect(await container.ended).toBeDefined();
});

test("what a thread throws keeps its class, and the thread goes on", async () => {
  const container = startThread();
  const missing = { ...setup, engine: { module: "no-such-engine" } };
  const thrown = await container.api.load(missing, 0).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(InputError);
  await expect(container.api.evaluateCell({ set: "train", samples: [0], adapter: adapterAt(1) })).rejects.toThrow(
    "Cannot use a device: it has no model, `load` comes first",
  );
  expect(await container.api.load(setup, 0)).toEqual({ engineName: "reference" });
  await container.stop();
});

test("a file that was not built is named, with what builds it", () => {
  expect(builtFile("device_worker")).toMatch(/^file:.*\/dist\/device_worker\.js$/);
  expect(referenceEngine().module).toBe(builtFile("reference_engine"));
  expect(() => builtFile("no_such_file")).toThrow(
    /^Cannot start a worker: \/.*dist\/no_such_file\.js is missing, run `pnpm build`$/,
  );
});
