import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AdaptionPromptConfig, adapterLayout, type ModelConfig } from "@zerogate/core";
import { afterAll, expect, test } from "vitest";
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { listCheckpoints, pruneCheckpoints } from "./folders.ts";
import { newestCheckpoint } from "./newest.ts";

const model: ModelConfig = {
  modelType: "llama",
  vocabSize: 8,
  hiddenSize: 4,
  intermediateSize: 8,
  layers: 3,
  heads: 2,
  kvHeads: 2,
  headDim: 2,
  contextLength: 16,
  normEps: 1e-5,
  ropeTheta: 1e4,
  ropeScaling: { type: "default" },
  slidingWindow: 0,
  slidingLayers: undefined,
  embedScale: 1,
  tiedEmbeddings: false,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  bosTokenId: 1,
  eosTokenIds: [2],
};

const adapterConfig: AdaptionPromptConfig = {
  peftType: "ADAPTION_PROMPT",
  targetModules: "self_attn",
  adapterLen: 3,
  adapterLayers: 2,
  taskType: "CAUSAL_LM",
  inferenceMode: true,
  baseModelNameOrPath: "base",
  revision: null,
  autoMapping: null,
};

const layout = adapterLayout(
  { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" },
  model,
);

/** Numbers that differ everywhere and use all bits. */
const wave = (phase: number) => Float32Array.from({ length: layout.length }, (_, i) => Math.sin(1.7 * i + phase));

const checkpoint = (step: number): Checkpoint => ({
  state: {
    step,
    epoch: step / 7,
    seed: 0xffff_ffff,
    engine: "reference",
    hashes: { base: "b", data: "d", tokenizer: "t", plan: "p" },
    config: { seed: 0xffff_ffff },
    versions: { zerogate: "0.1.0", node: process.version },
    best: { step: 1, loss: 1 / 3 },
    evaluationsWithoutGain: 2,
    voided: [],
    receipt: "c".repeat(64),
  },
  adapterConfig,
  layout,
  params: wave(step),
  moments: { m: wave(step + 0.5), v: wave(step + 0.25), t: [step] },
});

const runs: string[] = [];
const newRun = () => {
  const run = mkdtempSync(join(tmpdir(), "zerogate-run-"));
  runs.push(run);
  return run;
};
afterAll(() => {
  for (const run of runs) rmSync(run, { recursive: true });
});

async function runWith(...steps: number[]): Promise<string> {
  const run = newRun();
  for (const step of steps) await saveCheckpoint(run, checkpoint(step));
  return run;
}

const loadNewest = async (run: string) => {
  const problems: string[] = [];
  const loaded = await newestCheckpoint(run, model, (problem) => problems.push(problem.replaceAll(run, "RUN")));
  if (!loaded) throw new Error("the run has no checkpoint");
  return { loaded, problems };
};

test("a checkpoint comes back bit for bit, also without a best validation", async () => {
  const run = await runWith(20);
  expect(await loadCheckpoint(join(run, "checkpoints", "step-20"), model)).toEqual(checkpoint(20));
  const { best: _, ...state } = checkpoint(21).state;
  const folder = await saveCheckpoint(run, { ...checkpoint(21), state });
  expect((await loadCheckpoint(folder, model)).state).toEqual(state);
});

test("the folder is a PEFT adapter, the optimizer's moments, the state and a manifest [L2]", async () => {
  const run = await runWith(5);
  expect(readdirSync(join(run, "checkpoints", "step-5")).toSorted()).toEqual([
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "manifest.json",
    "optimizer.safetensors",
    "state.msgpack",
  ]);
});

test("a published checkpoint is not written again", async () => {
  const run = await runWith(5);
  const before = readFileSync(join(run, "checkpoints", "step-5", "state.msgpack"));
  await expect(saveCheckpoint(run, { ...checkpoint(6), state: checkpoint(5).state })).rejects.toThrow("it exists");
  expect(readFileSync(join(run, "checkpoints", "step-5", "state.msgpack"))).toEqual(before);
  expect(readdirSync(join(run, "checkpoints"))).toEqual(["step-5"]);
});

test("the newest is the one with the highest step, not the last in the alphabet", async () => {
  const run = await runWith(9, 10, 8);
  expect((await loadNewest(run)).loaded.state.step).toBe(10);
});

test.each([
  ["adapter_model.safetensors", "cut off", (path: string) => truncateSync(path, 40)],
  ["optimizer.safetensors", "cut off", (path: string) => truncateSync(path, 0)],
  ["optimizer.safetensors", "changed in one bit", flipBit],
  ["state.msgpack", "changed in one bit", flipBit],
  ["adapter_config.json", "changed in one bit", flipBit],
  ["manifest.json", "changed in one bit", flipBit],
  ["manifest.json", "removed", rmSync],
  ["state.msgpack", "removed", rmSync],
  ["extra.bin", "added", (path: string) => writeFileSync(path, "x")],
])("with %s %s the checkpoint is set aside and reported, and the one before is used", async (name, _, damage) => {
  const run = await runWith(10, 20);
  damage(join(run, "checkpoints", "step-20", name));
  const { loaded, problems } = await loadNewest(run);
  expect(loaded.state.step).toBe(10);
  expect(loaded.folder).toBe(join(run, "checkpoints", "step-10"));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(
    /^Cannot use the checkpoint RUN\/checkpoints\/step-20: .*\. It is kept as RUN\/checkpoints\/step-20\.corrupt$/,
  );
  expect(problems[0]).toContain(name);
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(["step-10", "step-20.corrupt"]);
});

test("every single bit of a checkpoint's files is guarded", async () => {
  const run = await runWith(10);
  const folder = join(run, "checkpoints", "step-10");
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
      writeFileSync(path, changed);
      await expect(loadCheckpoint(folder, model), `${name}, byte ${at}`).rejects.toThrow("Cannot");
    }
    writeFileSync(path, bytes);
  }
  await expect(loadCheckpoint(folder, model)).resolves.toEqual(checkpoint(10));
});

test("a second broken checkpoint of the same step gets a name of its own", async () => {
  const run = await runWith(10, 20);
  for (let round = 0; round < 2; round++) {
    truncateSync(join(run, "checkpoints", "step-20", "state.msgpack"), 1);
    await loadNewest(run);
    await saveCheckpoint(run, checkpoint(20));
  }
  const names = ["step-10", "step-20", "step-20.corrupt", "step-20.corrupt-2"];
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(names);
});

test("what a crash in the middle of a save leaves is no checkpoint, and is removed", async () => {
  const run = await runWith(10);
  const half = join(run, "checkpoints", ".step-20.4711.0123456789ab.tmp");
  mkdirSync(half);
  writeFileSync(join(half, "adapter_model.safetensors"), "half");
  writeFileSync(join(run, "checkpoints", "notes.txt"), "of the user");
  for (const name of [".config.json.4711.0123456789ab.tmp", ".lock-2.4194303.0123456789ab.tmp"]) {
    writeFileSync(join(run, name), "half");
  }
  const starting = `.lock-3.${process.pid}.0123456789ab.tmp`; // may be that of a starter that is about to give way
  writeFileSync(join(run, starting), "half");
  const { loaded, problems } = await loadNewest(run);
  expect([loaded.state.step, problems]).toEqual([10, []]);
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(["notes.txt", "step-10"]);
  expect(readdirSync(run).toSorted()).toEqual([starting, "checkpoints"]);
});

test("a run with no whole checkpoint cannot be resumed, and says why [T-E6]", async () => {
  expect(await newestCheckpoint(newRun(), model, () => {})).toBeUndefined(); // it never had one: nothing is lost
  const broken = await runWith(1, 2);
  for (const step of [1, 2]) rmSync(join(broken, "checkpoints", `step-${step}`, "manifest.json"));
  await expect(loadNewest(broken)).rejects.toThrow("none of its 2 checkpoints is whole");
  expect(existsSync(join(broken, "checkpoints", "step-1.corrupt"))).toBe(true);
  await expect(loadNewest(broken)).rejects.toThrow("all its checkpoints were broken");
  const single = await runWith(1);
  rmSync(join(single, "checkpoints", "step-1", "manifest.json"));
  await expect(loadNewest(single)).rejects.toThrow("none of its 1 checkpoints is whole");
  await expect(loadNewest(single)).rejects.toThrow("all its checkpoints were broken");
});

test("the wrong base is refused and costs no checkpoint", async () => {
  const run = await runWith(10);
  await expect(newestCheckpoint(run, { ...model, hiddenSize: 8 }, () => {})).rejects.toThrow("Cannot");
  expect(readdirSync(join(run, "checkpoints"))).toEqual(["step-10"]);
});

test("pruning keeps the newest, the best, those at multiples, the one to roll back to and all after it", async () => {
  const rule = { newest: 2, every: 0, best: undefined, upTo: undefined };
  const run = await runWith(1, 2, 3, 4, 5, 6, 7, 8, 9);
  expect(await pruneCheckpoints(run, { ...rule, best: 2, every: 4, upTo: 6 })).toEqual([5, 3, 1]);
  expect(await listCheckpoints(run)).toEqual([9, 8, 7, 6, 4, 2]);
  expect(await pruneCheckpoints(run, { ...rule, newest: 6 })).toEqual([]);
  expect(await pruneCheckpoints(run, rule)).toEqual([7, 6, 4, 2]);
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(["step-8", "step-9"]);
  expect(await listCheckpoints(newRun())).toEqual([]);
});

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(path, bytes);
}
