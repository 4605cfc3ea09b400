/**
 * Training steps of one GPU with random weights: tokens per second, share of the peak, memory against the plan, and whether a
 * second engine trains the same bits. Steps are whole: cells, fixed-point sums and AdamW on the host.
 *
 *   node bench/gpu/step.mjs [--shape 7b] [--tokens 4096] [--steps 4] [--device 0] [--peak 989] [--out FILE]
 */
import { createHash } from "node:crypto";
import { imageBytes } from "../../packages/core/dist/formats.js";
import { cellGradient, createModel, initParameters, layerParts, partNumbers } from "../../packages/core/dist/index.js";
import {
  adamWStep,
  addCell,
  clearSlot,
  createAdamWState,
  createSlot,
  gradientSum,
  readFixedPoint,
  updateRanges,
} from "../../packages/core/dist/training.js";
import { createEngine, planCell } from "../../packages/engine-cuda/dist/index.js";
import { alpacaLengths, cutIntoCells, flops, median, modelOf, randomCell, randomImage } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ tokens: "4096", steps: "4", peak: "989" });
const [tokens, steps, peak] = [options.tokens, options.steps, options.peak].map(Number);
const { config, layout, adaptedLayers } = modelOf(options.shape);
const image = randomImage(config);
const alpaca = await alpacaLengths();

/** Rows of 512 tokens, all labelled, and packed Alpaca records; at small sizes as long as they fit. */
const rowTokens = Math.min(512, tokens);
const even = [Array.from({ length: Math.floor(tokens / rowTokens) }, () => [rowTokens, rowTokens])];
const records = alpaca.lengthsAndAnswers.filter(([length]) => length <= tokens);
const packed = cutIntoCells(records, tokens).slice(0, 2);
const workloads = [
  { name: `${even[0].length} × ${rowTokens} tokens`, id: "rows", samples: even },
  { name: `packed Alpaca, cells of ${tokens}`, id: "alpaca", samples: packed },
].map((load) => ({ ...load, cells: load.samples.map((cell) => randomCell(cell, config)) }));

/** `count` steps of a workload on a new engine: times, memory, and the hash of what was trained. */
async function train({ cells }, count) {
  const most = Math.max(...cells.map((cell) => cell.ids_T.length));
  const plan = planCell(config, { tokens: most, adaptedLayers, compute: "bf16" });
  const engine = createEngine({ devices: [Number(options.device)], compute: "bf16", plan });
  try {
    const model = createModel(engine, config, image);
    const params = initParameters(layout.table, 1);
    for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.1); // closed gates hide the prompts
    const slot = createSlot({ parameters: layout.length, maxCells: 64 });
    const state = createAdamWState(layout.length);
    const ranges = updateRanges(layout.table, "all", 0.02);
    const gradient = new Float32Array(layout.length);
    const scale = 1 / cells.reduce((sum, cell) => sum + cell.rows_R.length, 0);
    const [stepMs, hostMs, losses] = [[], [], []];
    // One step more than is timed: the first compiles kernels and chooses algorithms.
    for (let step = 0; step <= count; step++) {
      const from = performance.now();
      let [host, loss] = [0, 0];
      for (const [number, cell] of cells.entries()) {
        const result = await cellGradient(model, { layout, params }, cell, scale);
        const begin = performance.now();
        const sum = {
          cell: number,
          gradient: result.gradient,
          lossSum: result.lossSum,
          labelledTokens: cell.rows_R.length,
        };
        const bad = addCell(slot, sum);
        if (bad) throw new Error(`Cannot time step ${step}: ${bad.count} numbers are not finite or too large`);
        host += performance.now() - begin;
        loss += result.lossSum * scale;
      }
      const begin = performance.now();
      readFixedPoint(gradientSum(slot), gradient);
      adamWStep(params, gradient, state, 1e-3, { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges });
      clearSlot(slot);
      host += performance.now() - begin;
      losses.push(loss);
      if (step > 0) {
        stepMs.push(performance.now() - from);
        hostMs.push(host);
      }
    }
    const planned = plan.weightBytes + plan.otherBytes + most * (plan.bytesPerToken + plan.workBytesPerToken);
    const hash = createHash("sha256").update(new Uint8Array(params.buffer)).digest("hex");
    return { engine: engine.name, stepMs, hostMs, losses, hash, planned, ...engine.memory() };
  } finally {
    engine.close();
  }
}

const rows = [];
for (const load of workloads) {
  const run = await train(load, steps);
  const again = await train(load, steps); // two runs, the same bits
  const count = load.cells.reduce((sum, cell) => sum + cell.ids_T.length, 0);
  const [ms, work] = [
    median(run.stepMs),
    load.cells.reduce((sum, cell) => sum + flops(cell, config, adaptedLayers), 0),
  ];
  const row = {
    name: load.name,
    id: load.id,
    tokens: count,
    cells: load.cells.length,
    samples: load.samples.flat(),
    ms,
    allMs: run.stepMs,
    hostMs: median(run.hostMs),
    tokensPerSecond: (1000 * count) / ms,
    tflops: (work / ms) * 1e-9,
    ofPeak: ((work / ms) * 1e-9) / peak,
    firstLoss: run.losses[0],
    lastLoss: run.losses.at(-1),
    sameBits: run.hash === again.hash,
    peakBytes: run.peakBytes,
    heldBytes: run.heldBytes,
    plannedBytes: run.planned,
    ...(load.id === "alpaca" && { alpacaMinutes: (5 * alpaca.tokens) / ((1000 * count) / ms) / 60 }),
  };
  rows.push(row);
  console.log(
    `${row.name}: ${ms.toFixed(1)} ms, ${row.tokensPerSecond.toFixed(0)} tokens/s, ${row.tflops.toFixed(1)} TFLOP/s (${(100 * row.ofPeak).toFixed(1)} % of ${peak}), same bits: ${row.sameBits}`,
  );
  if (!row.sameBits) process.exitCode = 1;
  options.engine = run.engine;
}
writeResult(options, { engine: options.engine, peak, adaptedLayers, baseBytes: imageBytes(image), rows });
