/**
 * The first minute and a half on a GPU: what is there, a second of work, each kernel at a model's sizes against the plain float32
 * kernels on the same GPU, and six timed steps. The file is written after every stage: what is cut short keeps what came before.
 *
 *   node bench/gpu/first.mjs [--shape 7b] [--tokens 4096] [--steps 6] [--device 0] [--out FILE]
 */
import { cellGradient, createModel, initParameters, layerParts, partNumbers } from "../../packages/core/dist/index.js";
import { addCell, createSlot } from "../../packages/core/dist/training.js";
import { engineOver } from "../../packages/engine-cuda/dist/engine.js";
import { openGpu } from "../../packages/engine-cuda/dist/gpu.js";
import { gpuReports, testGpu } from "../../packages/engine-cuda/dist/index.js";
import { createRuntime } from "../../packages/engine-cuda/dist/runtime.js";
import { kernelCases } from "./kernel_cases.mjs";
import { flops, median, modelOf, randomCell, randomImage } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ tokens: "4096", steps: "6" });
const [tokens, steps, device] = [options.tokens, options.steps, options.device].map(Number);
/** Of gradients in bf16: the conformance suite's. Forward is half of that or less. */
const TOLERANCE = 4e-2;
/** Expected of an H100 at 4,096 tokens in rows of 512: milliseconds of a step. */
const budget = { products: 149, normsAndUnits: 18.5, attention: 11.6, rope: 6.7, head: 3.4, gaps: 1.5, host: 8 };

process.env.ZEROGATE_CUDA_DEBUG = "1"; // of the second of work: a fault has its kernel's name
const result = { stages: [] };
let began = performance.now();
/** Runs a stage, writes all results up to it, and goes on after a failure. */
async function stage(name, work) {
  const one = { name };
  try {
    Object.assign(one, await work());
  } catch (error) {
    one.error = String(error?.message ?? error);
    process.exitCode = 1;
  }
  one.seconds = (performance.now() - began) / 1000;
  began = performance.now();
  result.stages.push(one);
  if (options.out) writeResult(options, result);
  console.log(`first: ${name}, ${one.seconds.toFixed(1)} s${one.error ? `: ${one.error}` : ""}`);
}

function openRuntime(compute, debug) {
  return createRuntime(openGpu(device), { compute, tune: false, debug, graphs: false, plan: undefined });
}

/** Each kernel in bf16 against the plain ones in float32; both wait after each kernel, so that a fault has its name. */
async function checkKernels() {
  const { config } = modelOf(options.shape);
  const T = Math.min(tokens, 2048);
  const [ours, plain] = [openRuntime("bf16", true), openRuntime("f32", true)];
  const rows = [];
  try {
    for (const { name, run } of kernelCases(config, T)) {
      const one = { name };
      rows.push(one);
      try {
        const [got, right] = [await results(ours, run), await results(plain, run)];
        one.error = Math.max(...right.map((values, i) => relativeError(got[i], values)));
        one.ok = one.error <= TOLERANCE;
      } catch (error) {
        Object.assign(one, { ok: false, reason: String(error?.message ?? error) });
      }
      if (!one.ok) process.exitCode = 1;
    }
  } finally {
    for (const runtime of [plain, ours]) runtime.close();
  }
  return { tokens: T, rows };
}

async function results(runtime, run) {
  const engine = engineOver(runtime);
  return engine.arena(() => Promise.all(run(engine).map((array) => engine.read(array))));
}

/** Infinite where a number is none. */
function relativeError(got, right) {
  let [largest, worst] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    largest = Math.max(largest, Math.abs(right[i]));
    const off = Math.abs(got[i] - right[i]);
    worst = off >= worst || Number.isNaN(off) ? (Number.isNaN(off) ? Number.POSITIVE_INFINITY : off) : worst;
  }
  return worst / Math.max(largest, 1e-12);
}

/** Steps of one cell by their phases: enqueuing, waiting, the sum on the host; and what the GPU took. */
async function timeSteps() {
  const { config, layout, adaptedLayers } = modelOf(options.shape);
  const row = Math.min(512, tokens);
  const lengths = Array.from({ length: Math.floor(tokens / row) }, () => [row, row]);
  const cell = randomCell(lengths, config);
  const gpu = openGpu(device);
  const newEvent = () => {
    const out = new BigUint64Array(8);
    gpu.call("make an event", "cuEventCreate", out, 0);
    return out[0];
  };
  const [begin, end] = [newEvent(), newEvent()];
  let waiting;
  const synchronize = (what) => {
    waiting ??= performance.now();
    gpu.synchronize(what);
  };
  const tune = process.env.ZEROGATE_CUDA_TUNE !== "0";
  const runtime = createRuntime(
    { ...gpu, synchronize },
    { compute: "bf16", tune, debug: false, graphs: false, plan: undefined },
  );
  try {
    const model = createModel(engineOver(runtime), config, randomImage(config));
    const params = initParameters(layout.table, 1);
    for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.1); // closed gates hide the prompts
    const slot = createSlot({ parameters: layout.length, maxCells: 64 });
    const phases = [];
    let first;
    // One step more than is timed: the first compiles kernels and chooses algorithms.
    for (let step = 0; step <= steps; step++) {
      waiting = undefined;
      gpu.call("time", "cuEventRecord", begin, gpu.stream);
      const from = performance.now();
      const { gradient, lossSum } = await cellGradient(model, { layout, params }, cell, 1 / cell.rows_R.length);
      const computed = performance.now();
      gpu.call("time", "cuEventRecord", end, gpu.stream);
      addCell(slot, { cell: step, gradient, lossSum, labelledTokens: cell.rows_R.length });
      const added = performance.now();
      gpu.call("time", "cuEventSynchronize", end);
      const ms = new Float32Array(16);
      gpu.call("time", "cuEventElapsedTime", ms, begin, end);
      const own = {
        enqueue: (waiting ?? computed) - from,
        wait: computed - (waiting ?? computed),
        sum: added - computed,
        gpu: ms[0],
      };
      if (step > 0) phases.push({ ...own, step: added - from });
      first ??= { lossSum, firstMs: added - from };
      if (lossSum !== first.lossSum)
        throw new Error(`Cannot trust step ${step}: its loss is ${lossSum}, the first was ${first.lossSum}`);
    }
    const phase = (name) => median(phases.map((own) => own[name]));
    const times = Object.fromEntries(["enqueue", "wait", "sum", "gpu", "step"].map((name) => [name, phase(name)]));
    const work = flops(cell, config, adaptedLayers);
    for (const event of [begin, end]) gpu.call("free an event", "cuEventDestroy_v2", event);
    return {
      ms: times,
      steps: phases,
      ...first,
      budget,
      tflops: (work / times.step) * 1e-9,
      tokens: cell.ids_T.length,
    };
  } finally {
    runtime.close();
  }
}

await stage("devices", async () => gpuReports());
await stage("a second of work", async () => {
  const test = await testGpu(device);
  if (!test.ok) throw new Error(`Cannot trust GPU ${device}: its largest error is ${test.largestError}`);
  return test;
});
await stage("kernels", checkKernels);
await stage("steps", timeSteps);
if (!options.out) writeResult(options, result);
