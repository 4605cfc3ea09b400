/** The functions that the writing thread runs, here without the thread. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adapterLayout, type ModelConfig } from "@zerogate/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { slowDisk } from "../../test/slow_disk.ts";
import { loadCheckpoint } from "./checkpoint.ts";
import { copy, drop, type WriteJob, write } from "./write_worker.ts";

const model = { modelType: "llama", layers: 3, hiddenSize: 4, heads: 2 } as ModelConfig;
const layout = adapterLayout(
  { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" },
  model,
);
let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-write-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const numbers = (value: number) => {
  const array = (i: number) => new Float32Array(layout.length).fill(value + i / 4);
  return { params: array(0), m: array(1), v: array(2) };
};
const job = (step: number, more: Partial<WriteJob> = {}): WriteJob => ({
  runDir: run,
  state: {
    step,
    epoch: 0,
    seed: 0,
    engine: "",
    hashes: { base: "", data: "", tokenizer: "", plan: "" },
    config: {},
    versions: { zerogate: "", node: "" },
    evaluationsWithoutGain: 0,
    voided: [],
    receipt: "",
  },
  adapterConfig: {
    peftType: "ADAPTION_PROMPT",
    targetModules: "self_attn",
    adapterLen: 2,
    adapterLayers: 2,
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
  ...more,
});
const found = () => readdirSync(join(run, "checkpoints")).toSorted();
const load = (step: number) => loadCheckpoint(join(run, "checkpoints", `step-${step}`), model);

test("a copy is what the numbers were, and may be made again before it is written", async () => {
  const shared = numbers(1);
  copy({ step: 3, ...shared });
  for (const array of Object.values(shared)) array.fill(99);
  expect(await write(job(3))).toBe(join(run, "checkpoints", "step-3"));
  expect(await load(3)).toMatchObject({
    params: numbers(1).params,
    moments: { m: numbers(1).m, v: numbers(1).v, t: [3] },
  });
  copy({ step: 4, ...numbers(1) });
  copy({ step: 4, ...numbers(7) });
  await write(job(4));
  expect(await load(4)).toMatchObject({ params: numbers(7).params, moments: { m: numbers(7).m, v: numbers(7).v } });
});

test("copies of several steps do not touch each other, though their memory is used again", async () => {
  copy({ step: 1, ...numbers(1) });
  drop(1);
  copy({ step: 2, ...numbers(2) });
  copy({ step: 3, ...numbers(3) });
  await write(job(2));
  copy({ step: 4, ...numbers(4) });
  await write(job(3));
  await write(job(4));
  for (const step of [2, 3, 4]) expect((await load(step)).params).toEqual(numbers(step).params);
});

test("what was dropped, written or never copied cannot be written", async () => {
  copy({ step: 1, ...numbers(1) });
  drop(1);
  drop(1);
  await expect(write(job(1))).rejects.toThrow(RangeError);
  await expect(write(job(8))).rejects.toThrow("Cannot write checkpoint 8: its copy was lost with its thread");
  copy({ step: 1, ...numbers(1) });
  await write(job(1));
  await expect(write(job(1))).rejects.toThrow("its copy was lost");
});

test("a write that fails keeps its copy", async () => {
  copy({ step: 1, ...numbers(5) });
  writeFileSync(join(run, "checkpoints"), "in the way");
  await expect(write(job(1))).rejects.toThrow(/EEXIST|ENOTDIR/);
  rmSync(join(run, "checkpoints"));
  await write(job(1));
  expect((await load(1)).params).toEqual(numbers(5).params);
});

test("a whole folder of the step stays, as after a save that failed after its rename; a broken one is set aside", async () => {
  copy({ step: 1, ...numbers(1) });
  await write(job(1));
  const before = readFileSync(join(run, "checkpoints", "step-1", "adapter_model.safetensors"));
  copy({ step: 1, ...numbers(2) });
  await write(job(1));
  expect(readFileSync(join(run, "checkpoints", "step-1", "adapter_model.safetensors"))).toEqual(before);
  truncateSync(join(run, "checkpoints", "step-1", "state.msgpack"), 2);
  copy({ step: 1, ...numbers(2) });
  await write(job(1));
  expect(found()).toEqual(["step-1", "step-1.corrupt"]);
  expect((await load(1)).params).toEqual(numbers(2).params);
});

test("old checkpoints go once the new one is there, before the call ends", async () => {
  const keep = { newest: 1, every: 0, best: undefined, upTo: undefined };
  for (const step of [1, 2, 3]) {
    copy({ step, ...numbers(step) });
    await write(job(step, { keep }));
    expect(found()).toEqual([`step-${step}`]);
  }
});

test("files that must hold all lines are flushed before the checkpoint appears; one that is not there is passed over", async () => {
  const lines = join(run, "metrics.jsonl");
  writeFileSync(lines, "x");
  const { done, restore } = slowDisk();
  try {
    copy({ step: 1, ...numbers(1) });
    await write(job(1, { flush: [join(run, "nowhere"), lines] }));
  } finally {
    restore();
  }
  const appears = done.findIndex((what) => what.startsWith("rename ") && what.endsWith("step-1"));
  expect(done.indexOf(`sync ${lines}`)).toBeLessThan(appears);
  expect(done.indexOf(`sync ${lines}`)).toBeGreaterThan(-1);
});

test("a folder that is whole already is made durable under its name", async () => {
  copy({ step: 1, ...numbers(1) });
  await write(job(1));
  copy({ step: 1, ...numbers(1) });
  const { done, restore } = slowDisk();
  try {
    await write(job(1));
  } finally {
    restore();
  }
  expect(done).toEqual([`sync ${join(run, "checkpoints")}`]);
});

test("a checkpoint that goes is out of the way before it is removed, and nothing of it is left", async () => {
  const keep = { newest: 1, every: 0, best: undefined, upTo: undefined };
  for (const step of [1, 2]) {
    copy({ step, ...numbers(step) });
    await write(job(step));
  }
  copy({ step: 3, ...numbers(3) });
  const { restore } = slowDisk();
  try {
    await write(job(3, { keep }));
  } finally {
    restore();
  }
  expect(found()).toEqual(["step-3"]);
});
