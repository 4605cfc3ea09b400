import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adapterLayout, type ModelConfig } from "@zerogate/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeMoments } from "./moments_file.ts";
import type { RunState } from "./run_state.ts";
import type { SharedNumbers, WriteJob } from "./write_worker.ts";
import { type CheckpointWriter, openCheckpointWriter } from "./writer.ts";

/** Large enough that a copy which is disturbed shows. */
const model = { layers: 12, hiddenSize: 4096, heads: 32 } as ModelConfig;
const layout = adapterLayout(
  { promptLength: 10, adaptedLayers: 10, gateSharing: "scalar", gateActivation: "none" },
  model,
);

let run: string;
let numbers: SharedNumbers;
let writer: CheckpointWriter;
let failures: string[];
let saved: number[];
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-writer-"));
  const shared = () => new Float32Array(new SharedArrayBuffer(4 * layout.length));
  numbers = { params: shared(), m: shared(), v: shared() };
  failures = [];
  saved = [];
  writer = openCheckpointWriter({
    numbers,
    trouble: { failed: (problem) => failures.push(problem), worked: () => {} },
    beforeWrite: async () => {},
    onSaved: (_, step) => saved.push(step),
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
    t: step,
    keep: { newest: 9, every: 0, best: undefined, upTo: undefined },
    flush: [],
  };
}

const folders = () => readdirSync(join(run, "checkpoints")).toSorted();
const moments = (step: number) => {
  const path = join(run, "checkpoints", `step-${step}`, "optimizer.safetensors");
  return decodeMoments(readFileSync(path), layout.length, path);
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
    expect(t).toBe(step);
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
