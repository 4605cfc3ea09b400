/**
 * The cost of equal bits under any circumstances: fixed-point sums, digest and receipt of a training step, against
 * the whole step of the 135 M shape at its fastest (all threads, bf16 if the machine has it). Needs a build and ../shared/data.
 *
 *   node bench/exactness.mjs [--batch 32] [--cell 2048] [--workers 2] [--rounds 3]
 *
 * The work is done by the functions of a run: each worker clears its slot, cells are added to them, slots are added up and
 * read, parameters are digested and a line of the receipt is written to disk. What plain floats would need as well (one
 * addition a number) is not taken off.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { adapterLayout, cellGradient, createModel, initParameters, layerParts } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import {
  addCell,
  addSlot,
  clearSlot,
  createSlot,
  gradientSum,
  readFixedPoint,
} from "../packages/core/dist/training.js";
import { addFixedPoint, createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { momentsDigest, paramsDigest } from "../packages/run-files/dist/receipt/receipt.js";
import { openReceipt } from "../packages/run-files/dist/receipt/receipt_file.js";
import { adaptedLayers, cutSteps, loadSamples, makeModel, median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    batch: { type: "string", default: "32" },
    cell: { type: "string", default: "2048" },
    workers: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
  },
});
const [batch, workers, rounds] = [Number(options.batch), Number(options.workers), Number(options.rounds)];
const folder = await makeModel("135m", join(tmpdir(), "zerogate-bench-135m"));
const config = await readModelConfig(folder);
const { level, bf16Levels, mapsFiles } = probe();
const compute = bf16Levels.includes(level) ? "bf16" : "f32";
const engine = createEngine({ threads: cpus().length, compute });
const image = await loadWeights(folder, config, { weightDtypes: ["f32", "bf16", "f16"], mapFiles: mapsFiles });
const model = createModel(engine, config, image);
const [cells] = cutSteps(await loadSamples(batch, folder), batch, Number(options.cell));
const shape = { promptLength: 10, adaptedLayers: adaptedLayers["135m"], gateSharing: "scalar", gateActivation: "none" };
const layout = adapterLayout(shape, config);
const params = initParameters(layout.table, 1);
for (const { gate } of layerParts(layout)) params[gate.offset] = 0.1; // closed gates would save the prompts' work

const out = mkdtempSync(join(tmpdir(), "zerogate-exactness-"));
const trouble = {
  failed(error) {
    throw error;
  },
  worked() {},
};
const receipt = openReceipt(out, undefined, trouble, () => {});
const slots = Array.from({ length: workers }, () => createSlot({ parameters: layout.length, maxCells: cells.length }));
const moments = { m: new Float32Array(layout.length), v: new Float32Array(layout.length), t: [0] };
const scale = 1 / cells.reduce((sum, cell) => sum + cell.rows_R.length, 0);
const gradient = new Float32Array(layout.length);

function exactly(results, step) {
  for (const slot of slots) clearSlot(slot);
  for (const [cell, { lossSum, gradient: its }] of results.entries()) {
    const labelledTokens = cells[cell].rows_R.length;
    const bad = addCell(slots[cell % workers], { cell, gradient: its, lossSum, labelledTokens }, addFixedPoint);
    if (bad) throw new Error(`Cannot time: cell ${cell} has ${bad.count} bad numbers`);
  }
  for (const slot of slots.slice(1)) addSlot(slots[0], slot);
  readFixedPoint(gradientSum(slots[0]), gradient);
  receipt.add({ event: "step", step, loss: 1, params: paramsDigest(params), moments: momentsDigest(moments) });
}

const [stepMs, exactMs] = [[], []];
for (let round = -1; round < rounds; round++) {
  const begin = performance.now();
  const results = [];
  for (const cell of cells) results.push(await cellGradient(model, { layout, params }, cell, scale));
  const computed = performance.now();
  const repeats = 20;
  for (let i = 0; i < repeats; i++) exactly(results, round + 2);
  const ms = (performance.now() - computed) / repeats;
  if (round < 0) continue; // warm-up
  exactMs.push(ms);
  stepMs.push(computed - begin + ms);
}
receipt.close();
rmSync(out, { recursive: true });
const [step, exact] = [median(stepMs), median(exactMs)];
const numbers = layout.length.toLocaleString("en-US");
console.log(`${numbers} numbers, ${cells.length} cells, ${workers} workers, ${engine.name}`);
console.log(
  `exactness ${exact.toFixed(2)} ms of a step of ${step.toFixed(0)} ms: ${((100 * exact) / step).toFixed(3)} % (aim: 1)`,
);
console.log(JSON.stringify({ bench: "exactness", engine: engine.name, cells: cells.length, workers, exact, step }));
