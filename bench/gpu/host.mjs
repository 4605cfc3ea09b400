/**
 * What the host does for one training cell of a GPU: milliseconds of its processor, and calls of the driver. Over the emulator with
 * EMU_IDLE=1, with which a GPU takes no time, so that a wait waits for nothing.
 *
 *   node bench/gpu/host.mjs [--shape 7b] [--tokens 4096] [--cells 12] [--out FILE]
 */

import { cellGradient, createModel, initParameters, layerParts, partNumbers } from "../../packages/core/dist/index.js";
import { addCell, addFixedPoint, createSlot } from "../../packages/core/dist/training.js";
import { addFixedPoint as addNatively, probe } from "../../packages/engine-cpu/dist/index.js";
import { createEngine } from "../../packages/engine-cuda/dist/index.js";
import { openDriver } from "../../packages/engine-cuda/dist/native/driver.js";
import { median, modelOf, randomCell, randomImage } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ tokens: "4096", cells: "12" });
const [tokens, count] = [options.tokens, options.cells].map(Number);
if (process.env.EMU_IDLE !== "1") throw new Error("Cannot time the host: EMU_IDLE=1 and the emulator are needed");

const counts = {};
/** Counts the calls of every function of a library. */
function counted(functions) {
  for (const [name, call] of Object.entries(functions)) {
    functions[name] = (...args) => {
      counts[name] = (counts[name] ?? 0) + 1;
      return call(...args);
    };
  }
}

const { config, layout } = modelOf(options.shape);
const engine = createEngine({ compute: "bf16", tune: false, debug: false });
const model = createModel(engine, config, randomImage(config));
const params = initParameters(layout.table, 1);
for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.1); // closed gates hide the prompts
const slot = createSlot({ parameters: layout.length, maxCells: 64 });
const row = Math.min(512, tokens);
const cell = randomCell(
  Array.from({ length: Math.floor(tokens / row) }, () => [row, row]),
  config,
);
const add = probe().available ? addNatively : addFixedPoint;
const [gradientMs, sumMs] = [[], []];
for (let n = 0; n <= count; n++) {
  if (n === count) counted(openDriver().calls); // the last one is not timed
  const begin = process.cpuUsage();
  const { gradient } = await cellGradient(model, { layout, params }, cell, 1e-3);
  const computed = process.cpuUsage(begin);
  addCell(slot, { cell: n, gradient, lossSum: 0, labelledTokens: cell.rows_R.length }, add);
  const [first, second] = [computed, process.cpuUsage(begin)].map(({ user, system }) => (user + system) / 1000);
  if (n < count) gradientMs.push(first);
  if (n < count) sumMs.push(second - first);
}
engine.close();
const best = (times) => Math.min(...times.slice(1)); // the first cell compiles and describes
const result = {
  tokens: cell.ids_T.length,
  gradient: { best: best(gradientMs), median: median(gradientMs.slice(1)) },
  sum: { best: best(sumMs), median: median(sumMs.slice(1)) },
  calls: {
    kernels: counts.cuLaunchKernel,
    copiesIn: counts.cuMemcpyHtoDAsync_v2,
    copiesOut: counts.cuMemcpyDtoHAsync_v2,
    waits: (counts.cuStreamSynchronize ?? 0) + (counts.cuEventSynchronize ?? 0),
  },
};
console.log(
  `host: ${result.gradient.best.toFixed(1)} ms a cell and ${result.sum.best.toFixed(1)} ms of its sum; ${Object.entries(
    result.calls,
  )
    .map(([name, calls]) => `${calls} ${name}`)
    .join(", ")}`,
);
writeResult(options, result);
