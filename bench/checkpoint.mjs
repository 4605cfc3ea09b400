/**
 * What checkpoints and the receipt cost: by how much a save in the background delays a step, and the share of a step that goes
 * into exact sums, digests and receipt lines. Needs a build.
 *
 *   node bench/checkpoint.mjs [--layers 30] [--hidden 4096] [--step-ms 60] [--steps 60]
 *
 * The steps are a busy thread of `step-ms`, with the coordinator's own work (commit, digest, receipt) as in a run; every
 * fifth step orders a checkpoint. Printed is the difference of medians between steps after an order and all others.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { adapterLayout } from "../packages/core/dist/index.js";
import {
  adamWStep,
  addCell,
  addSlot,
  checkTail,
  clearSlot,
  createSlot,
  gradientSum,
  readFixedPoint,
  updateRanges,
} from "../packages/core/dist/training.js";
import { openCheckpointWriter } from "../packages/run-files/dist/checkpoint/writer.js";
import { chainLine, momentsDigest, paramsDigest } from "../packages/run-files/dist/receipt/receipt.js";
import { openReceipt } from "../packages/run-files/dist/receipt/receipt_file.js";

const quiet = { failed: (problem) => console.log(problem), worked: () => {} };
const median = (times) => times.toSorted((a, b) => a - b)[times.length >> 1];

if (isMainThread) await main();
else {
  parentPort.on("message", (ms) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
    parentPort.postMessage("done", []);
  });
}

async function main() {
  const { values } = parseArgs({
    options: {
      layers: { type: "string", default: "30" },
      hidden: { type: "string", default: "4096" },
      "step-ms": { type: "string", default: "60" },
      steps: { type: "string", default: "60" },
    },
  });
  const [layers, hiddenSize] = [Number(values.layers), Number(values.hidden)];
  const shape = { promptLength: 10, adaptedLayers: layers, gateSharing: "scalar", gateActivation: "none" };
  const layout = adapterLayout(shape, {
    modelType: "llama",
    layers: layers + 2,
    hiddenSize,
    heads: 32,
    outputBias: false,
  });
  const shared = () => new Float32Array(new SharedArrayBuffer(4 * layout.length)).fill(0.5);
  const numbers = { params: shared(), m: shared(), v: shared() };
  console.log(`${layout.length} numbers, state ${((12 * layout.length) / 1e6).toFixed(1)} MB`);
  await saves(layout, numbers, Number(values["step-ms"]), Number(values.steps));
  exactness(layout);
}

async function saves(layout, numbers, stepMs, steps) {
  const runDir = mkdtempSync(join(tmpdir(), "zerogate-bench-"));
  const receipt = openReceipt(runDir, undefined, quiet, console.log);
  const writer = openCheckpointWriter({ numbers, trouble: quiet, beforeWrite: async () => {}, onSaved: () => {} });
  await writer.ready;
  const worker = new Worker(new URL(import.meta.url));
  const compute = () =>
    new Promise((resolve) => {
      worker.once("message", resolve);
      worker.postMessage(stepMs, []);
    });
  const { params, m, v } = numbers;
  const gradient = new Float32Array(layout.length).fill(1e-3);
  const optimizer = { beta1: 0.9, beta2: 0.999, eps: 1e-8, ranges: updateRanges(layout.table, "all", 0.01) };
  const moments = { m, v, t: [0] };
  const [after, others, orders, copies] = [[], [], [], []];
  let isAfter = false;
  try {
    for (let step = 1; step <= steps; step++) {
      const begin = performance.now();
      await compute();
      const copying = performance.now();
      await writer.copied();
      if (isAfter) copies.push(performance.now() - copying);
      adamWStep(params, gradient, moments, 1e-3, optimizer);
      receipt.add({ event: "step", step, loss: 1, params: paramsDigest(params), moments: momentsDigest(moments) });
      const isDue = step % 5 === 0;
      const ordering = performance.now();
      if (isDue) await writer.save(job(runDir, layout, [...moments.t], step));
      if (isDue) orders.push(performance.now() - ordering);
      if (step > 5) (isAfter || isDue ? after : others).push(performance.now() - begin);
      isAfter = isDue;
    }
    await writer.drain(10_000);
    const delay = median(after) - median(others);
    console.log(
      `steps of ${stepMs} ms: ${median(others).toFixed(2)} ms, around a save ${median(after).toFixed(2)} ms: delay ${delay.toFixed(2)} ms`,
    );
    console.log(
      `  ordering it ${median(orders).toFixed(2)} ms (worst ${Math.max(...orders).toFixed(2)}), waiting for the copy ${median(copies).toFixed(2)} ms (worst ${Math.max(...copies).toFixed(2)})`,
    );
    console.log(`  ${readdirSync(join(runDir, "checkpoints")).length} checkpoints on disk`);
  } finally {
    receipt.close();
    await worker.terminate();
    await writer.close();
    rmSync(runDir, { recursive: true });
  }
}

function job(runDir, layout, t, step) {
  const hashes = { base: "", data: "", tokenizer: "", plan: "" };
  const versions = { zerogate: "", node: "" };
  const state = {
    step,
    epoch: 0,
    seed: 0,
    engine: "",
    hashes,
    config: {},
    versions,
    evaluationsWithoutGain: 0,
    voided: [],
    receipt: "",
  };
  const adapterConfig = {
    peftType: "ADAPTION_PROMPT",
    targetModules: "self_attn",
    adapterLen: layout.shape.promptLength,
    adapterLayers: layout.shape.adaptedLayers,
    taskType: "CAUSAL_LM",
    inferenceMode: false,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
  };
  return {
    runDir,
    state,
    adapterConfig,
    layout,
    t,
    keep: { newest: 2, every: 0 },
    flush: [join(runDir, "receipt.jsonl")],
  };
}

/** Per step: one cell added, one slot added, the sum read, the digest, a receipt line. */
function exactness(layout) {
  const slots = [0, 1].map(() => createSlot({ parameters: layout.length, maxCells: 8 }));
  const gradient = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i) * 1e-3);
  const cell = { cell: 0, gradient, lossSum: 1, labelledTokens: 1 };
  const digest = "0".repeat(64);
  const parts = {
    "add a cell": () => addCell(slots[0], cell),
    "add a slot": () => addSlot(slots[0], slots[1]),
    "clear a slot": () => clearSlot(slots[1]),
    "check the tail": () => checkTail(slots[0], 1, 1),
    "read the sum": () => readFixedPoint(gradientSum(slots[0]), gradient),
    "digest of the parameters": () => paramsDigest(gradient),
    "digest of the moments": () => momentsDigest({ m: gradient, v: gradient, t: [1] }),
    "receipt line": () => chainLine(digest, { event: "step", step: 1, loss: 1, params: digest, moments: digest }),
  };
  let total = 0;
  for (const [name, work] of Object.entries(parts)) {
    const times = Array.from({ length: 25 }, () => {
      const begin = performance.now();
      work();
      return performance.now() - begin;
    });
    total += median(times);
    console.log(`  ${name.padEnd(26)}${median(times).toFixed(2)} ms`);
  }
  console.log(`  ${"together".padEnd(26)}${total.toFixed(2)} ms a step of one cell`);
}
