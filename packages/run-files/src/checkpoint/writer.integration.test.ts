import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { adapterLayout } from "@zerogate/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { decodeMoments } from "./moments_file.ts";
import type { RunState } from "./run_state.ts";
import type { SharedNumbers, WriteJob } from "./write_worker.ts";
import { type CheckpointWriter, openCheckpointWriter } from "./writer.ts";

/** Large enough that a copy which is disturbed shows. */
const model = { modelType: "llama", layers: 12, hiddenSize: 4096, heads: 32, outputBias: false };
const layout = adapterLayout(
  { promptLength: 10, adaptedLayers: 10, gateSharing: "scalar", gateActivation: "none" },
  model,
);

let run: string;
let numbers: SharedNumbers;
let writer: CheckpointWriter;
let failures: string[];
let saved: number[];
/** Throws what the disk says. */
let disk: () => void;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-writer-"));
  const shared = () => new Float32Array(new SharedArrayBuffer(4 * layout.length));
  numbers = { params: shared(), m: shared(), v: shared() };
  failures = [];
  saved = [];
  disk = () => {};
  writer = openCheckpointWriter({
    numbers,
    trouble: { failed: (problem) => failures.push(problem), worked: () => {} },
    beforeWrite: async () => disk(),
    onSaved(folder, step) {
      expect(folder).toBe(join(run, "checkpoints", `step-${step}`));
      saved.push(step);
    },
  });
});
afterEach(async () => {
  await writer.close();
  rmSync(run, { recursive: true });
});

const fill = (value: number) => {
  for (const array of Object.values(numbers) as Float32Array[]) array.fill(value);
};
const hashes = { base: "", data: "", tokenizer: "", plan: "" };
const versions = { zerogate: "", node: "" };

function job(step: number, best?: RunState["best"]): WriteJob {
  const told = { evaluationsWithoutGain: 0, voided: [], receipt: "", best };
  return {
    runDir: run,
    state: { step, epoch: 0, seed: 0, engine: "", hashes, config: {}, versions, ...told },
    adapterConfig: {
      peftType: "ADAPTION_PROMPT",
      targetModules: "self_attn",
      adapterLen: 10,
      adapterLayers: 10,
      taskType: "CAUSAL_LM",
      inferenceMode: false,
      baseModelNameOrPath: null,
      revision: null,
      autoMapping: null,
    },
    layout,
    t: [step],
    keep: { newest: 9, every: 0, best: undefined, upTo: undefined },
    flush: [],
  };
}

const folders = () => readdirSync(join(run, "checkpoints")).toSorted();
const moments = (step: number) => {
  const path = join(run, "checkpoints", `step-${step}`, "optimizer.safetensors");
  return decodeMoments(readFileSync(path), layout.table, path);
};

test("a checkpoint holds the numbers of its order, though they change as soon as they are copied", async () => {
  for (const step of [1, 2, 3, 4]) {
    fill(step);
    await writer.save(job(step));
    await writer.copied();
    fill(-step);
  }
  await writer.drain(0);
  expect(saved).toEqual([1, 2, 3, 4]);
  for (const step of saved) {
    const { m, v, t } = moments(step);
    expect(t).toEqual([step]);
    expect(m.every((value) => value === step) && v.every((value) => value === step)).toBe(true);
  }
});

test("of orders that the disk refuses the best and the newest are written when it takes them again", async () => {
  writeFileSync(join(run, "checkpoints"), "in the way");
  for (const step of [1, 2, 3, 4, 5]) {
    fill(step);
    await writer.save(job(step, step < 2 ? undefined : { step: 2, loss: 1 }));
    await writer.copied();
    await expect(writer.drain(0)).rejects.toThrow(/EEXIST|ENOTDIR/);
  }
  expect(failures.length).toBeGreaterThanOrEqual(5);
  rmSync(join(run, "checkpoints"));
  await writer.drain(5000);
  expect(folders()).toEqual(["step-2", "step-5"]);
  expect([moments(2).m[0], moments(5).m[0]]).toEqual([2, 5]);
});

test("of orders that the disk refuses all others are forgotten: their copies take no memory", async () => {
  writeFileSync(join(run, "checkpoints"), "in the way");
  const order = async (step: number) => {
    await writer.save(job(step));
    await writer.copied();
    await expect(writer.drain(0)).rejects.toThrow(/EEXIST|ENOTDIR/);
  };
  for (let step = 1; step <= 5; step++) await order(step);
  const before = process.memoryUsage().rss;
  for (let step = 6; step <= 45; step++) await order(step);
  // A copy is 15 MB, so that forty are 600 MB.
  expect(process.memoryUsage().rss - before).toBeLessThan(20 * 12 * layout.length);
});

test("the newest that waits can be saved elsewhere, and what waits can be forgotten", async () => {
  writeFileSync(join(run, "checkpoints"), "in the way");
  fill(7);
  await writer.save(job(7));
  await expect(writer.drain(0)).rejects.toThrow(/EEXIST|ENOTDIR/);
  mkdirSync(join(run, "rescue"));
  expect(await writer.rescue(join(run, "rescue"))).toBe(join(run, "rescue", "checkpoints", "step-7"));
  await writer.forget();
  await writer.drain(0);
  expect(saved).toEqual([]);
});

/** A disk that refuses `times` times, for a reason that may pass. */
function refuse(times: number): void {
  let left = times;
  disk = () => {
    if (left-- > 0) throw new Error("ENOSPC: no space left on device");
  };
}

/** Delays of half a second and more that timers were asked for; each of them passes at once. */
function hastenedTimers(): { readonly delays: number[]; readonly restore: () => void } {
  const real = globalThis.setTimeout;
  const delays: number[] = [];
  const spy = vi.spyOn(globalThis, "setTimeout").mockImplementation((work: () => void, ms = 0) => {
    if (ms >= 500) delays.push(ms);
    return real(work, ms >= 500 ? 1 : ms);
  });
  return { delays, restore: () => spy.mockRestore() };
}

test("a refused write is tried again after twice the time, up to half a minute, and after a success from the start [T-E5]", async () => {
  const { delays, restore } = hastenedTimers();
  try {
    for (const [step, refusals] of [
      [1, 9],
      [2, 2],
    ] as const) {
      delays.length = 0;
      failures = [];
      refuse(refusals);
      await writer.save(job(step));
      while (!saved.includes(step)) await new Promise((resolve) => setTimeout(resolve, 5));
      const expected = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].slice(0, refusals);
      expect(delays).toEqual(expected);
      expect(failures).toEqual(expected.map(() => "its disk is full (ENOSPC)"));
    }
  } finally {
    restore();
  }
  expect(folders()).toEqual(["step-1", "step-2"]);
});

test("drain waits while the disk may come back, and no longer than it was asked to [T-E5]", async () => {
  refuse(2);
  await writer.save(job(1));
  await writer.drain(600_000);
  expect(saved).toEqual([1]);
  refuse(Number.POSITIVE_INFINITY);
  await writer.save(job(2));
  await expect(writer.drain(0)).rejects.toThrow("ENOSPC");
  expect(saved).toEqual([1]);
  refuse(0);
  await writer.drain(600_000);
  expect(saved).toEqual([1, 2]);
});

test("drain does not wait if waiting cannot help [T-E5]", async () => {
  disk = () => {
    throw new Error("ENOTDIR: not a directory");
  };
  await writer.save(job(1));
  await expect(writer.drain(600_000)).rejects.toThrow("ENOTDIR");
  await expect(writer.drain(600_000)).rejects.toThrow("ENOTDIR");
  expect(saved).toEqual([]);
});

test("without trouble two orders wait and the third waits for them: none is lost", async () => {
  for (const step of [1, 2, 3, 4, 5, 6]) await writer.save(job(step));
  expect(saved.length).toBeGreaterThanOrEqual(2);
  await writer.drain(0);
  expect(saved).toEqual([1, 2, 3, 4, 5, 6]);
  await writer.drain(0); // nothing waits any more
});

test("all that waits is written without another call: a run may take minutes to its next checkpoint", async () => {
  for (const step of [1, 2]) await writer.save(job(step));
  while (saved.length < 2) await sleep(5);
  expect(saved).toEqual([1, 2]);
});

test("what waits at the end is lost: nothing is written any more [T-E5]", async () => {
  let isOpen = (): void => {};
  const gate = new Promise<void>((resolve) => (isOpen = resolve));
  const own: number[] = [];
  const gated = openCheckpointWriter({
    numbers,
    trouble: { failed() {}, worked() {} },
    beforeWrite: () => gate,
    onSaved: (_, step) => void own.push(step),
  });
  await gated.save(job(1));
  await gated.save(job(2));
  const closing = gated.close();
  isOpen();
  await closing;
  expect(own).toEqual([1]);
});

test("a thread that dies loses its copies, which is reported; the next order is written by another [T-E5]", async () => {
  await writer.ready; // so that the threads from here on are not its
  const threads: Worker[] = [];
  process.on("worker", (worker: Worker) => threads.push(worker));
  const own = openCheckpointWriter({
    numbers,
    trouble: { failed: (problem) => failures.push(problem), worked() {} },
    beforeWrite: async () => disk(),
    onSaved: (_, step) => void saved.push(step),
  });
  await own.ready;
  refuse(1);
  await own.save(job(1));
  await own.copied();
  await expect(own.drain(0)).rejects.toThrow("ENOSPC");
  await Promise.all(threads.map((thread) => thread.terminate()));
  process.removeAllListeners("worker");
  await own.drain(60_000); // an order without its copy is none
  expect(failures.at(-1)).toBe("Cannot write checkpoint 1: its copy was lost with its thread");
  await own.save(job(2));
  await own.drain(60_000);
  await own.close();
  expect(saved).toEqual([2]);
});

test("a run that goes back forgets what waits and what the disk said, and saves as before [T-E5]", async () => {
  refuse(1);
  await writer.save(job(7));
  await expect(writer.drain(0)).rejects.toThrow("ENOSPC");
  await writer.forget();
  fill(3);
  await writer.save(job(3));
  await writer.drain(0);
  expect(folders()).toEqual(["step-3"]);
  expect(moments(3).m[0]).toBe(3);
  expect(await writer.rescue(run)).toBeUndefined();
});
