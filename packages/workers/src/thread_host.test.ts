/** A device's thread, from its first message to its end. */
import type { Worker } from "node:worker_threads";
import { InputError } from "@zerogate/core";
import { afterEach, expect, test } from "vitest";
import { setup } from "../test/faulty_pool.ts";
import { builtFile } from "./built_file.ts";
import { referenceEngine } from "./reference_engine.ts";
import { startThread } from "./thread_host.ts";

afterEach(() => {
  process.removeAllListeners("worker");
});

test("a thread loads, beats, signs its pulse and ends when it is stopped, which is waited for", async () => {
  const threads: Worker[] = [];
  process.on("worker", (worker: Worker) => threads.push(worker));
  const host = startThread();
  expect(host.pulse()).toEqual({ beats: 0, operation: "", thread: 0 });
  expect(await host.api.load(setup, 0)).toEqual({ engineName: "reference" });
  expect(host.pulse().beats).toBeGreaterThan(0);
  expect(host.pulse().thread === 0).toBe(process.platform !== "linux");
  expect(host.waitedMs()).toBeGreaterThanOrEqual(0);
  await host.stop();
  expect(threads.length).toBeGreaterThan(0);
  expect(threads.filter(({ threadId }) => threadId !== -1)).toEqual([]);
  expect(await host.ended).toBeDefined();
});

test("a thread that is stopped before it serves ends as well", async () => {
  const host = startThread();
  await host.stop();
  expect(await host.ended).toBeDefined();
});

test("what a thread throws keeps its class, and the thread goes on", async () => {
  const host = startThread();
  const missing = { ...setup, engine: { module: "no-such-engine" } };
  const thrown = await host.api.load(missing, 0).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(InputError);
  await expect(host.api.evaluateCell({ set: "train", samples: [0], adapter: true, version: 1 })).rejects.toThrow(
    "Cannot use a device: it has no model, `load` comes first",
  );
  expect(await host.api.load(setup, 0)).toEqual({ engineName: "reference" });
  await host.stop();
});

test("a file that was not built is named, with what builds it", () => {
  expect(builtFile("device_worker")).toMatch(/^file:.*\/dist\/device_worker\.js$/);
  expect(referenceEngine().module).toBe(builtFile("reference_engine"));
  expect(() => builtFile("no_such_file")).toThrow(
    /^Cannot start a worker: \/.*dist\/no_such_file\.js is missing, run `pnpm build`$/,
  );
});
