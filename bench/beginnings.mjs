/**
 * What cells leave out: beginnings computed once (`sharedBeginnings`), a last layer for labelled tokens alone (`skipUnlabelled`), and
 * both. Processor time of forward and backward of all cells of a step with each, on one thread, in turn.
 * Needs a build and ../shared/data.
 *
 *   node bench/beginnings.mjs [--model 135m] [--compute bf16] [--cell 2048] [--system 200] [--multiple 1] [--batch 64] [--rounds 3]
 *
 * --system puts this number of tokens before each record of Alpaca, all the same, as a system prompt does; 0 leaves the template's
 * own beginning. Cells are those that a plan cuts with --multiple (0: first fit). Gradients of all ways are compared first. Prints the
 * medians of the rounds, how many times as fast each way is as computing all, and the shares of tokens that are left and labelled.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  adapterLayout,
  cellGradient,
  createModel,
  initParameters,
  layerParts,
  packCell,
} from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { backwardLayers, trainingCost } from "../packages/core/dist/training.js";
import { createPlan, measureSamples } from "../packages/data/dist/index.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { adaptedLayers, loadSamples, makeModel, median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "135m" },
    compute: { type: "string", default: "bf16" },
    cell: { type: "string", default: "2048" },
    system: { type: "string", default: "200" },
    multiple: { type: "string", default: "1" },
    batch: { type: "string", default: "64" },
    rounds: { type: "string", default: "3" },
  },
});
const [batchSize, cellTokens, multiple] = ["batch", "cell", "multiple"].map((name) => Number(options[name]));

const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
const config = await readModelConfig(folder);
const image = await loadWeights(folder, config, { weightDtypes: ["f32", "bf16", "f16"], mapFiles: probe().mapsFiles });
const tokens = behind(await loadSamples(batchSize, folder), Number(options.system));
const shape = {
  promptLength: 10,
  adaptedLayers: adaptedLayers[options.model],
  gateSharing: "scalar",
  gateActivation: "none",
};
const layout = adapterLayout(shape, config);
const params = initParameters(layout.table, 1);
for (const { gate } of layerParts(layout)) params[gate.offset] = 0.1; // closed gates would save the prompts' work

const sizes = measureSamples(tokens);
const cost = trainingCost(config, backwardLayers(layout));
const even = multiple > 0 ? { multiple, cost } : undefined;
const samples = Array.from(sizes.lengths.keys());
const cells = createPlan({ ...sizes, samples, seed: 1, batchSize, cellTokens, even })
  .step(0)
  .cells.map((cell) => packCell(tokens, cell));
const T = cells.reduce((sum, { ids_T }) => sum + ids_T.length, 0);

const model = createModel(createEngine({ compute: options.compute }), config, image);
const ways = {
  all: {},
  beginnings: { sharesBeginnings: true },
  labelled: { skipsUnlabelled: true },
  both: { sharesBeginnings: true, skipsUnlabelled: true },
};
async function pass(way) {
  const begin = process.cpuUsage();
  const results = [];
  for (const cell of cells) results.push(await cellGradient(model, { layout, params }, cell, 1 / T, way));
  return { ms: process.cpuUsage(begin).user / 1000, results };
}

const { results: right } = await pass(ways.all);
const rows = new Map();
for (const [name, way] of Object.entries(ways)) {
  const { results } = await pass(way);
  const off = Math.max(...results.map(({ gradient }, n) => distance(gradient, right[n].gradient)));
  rows.set(name, { off, times: [] });
}
for (let round = 0; round < Number(options.rounds); round++) {
  for (const [name, way] of Object.entries(ways)) rows.get(name).times.push((await pass(way)).ms);
}
const share = (count) => cells.reduce((sum, cell) => sum + count(cell), 0) / T;
const left = share(({ ids_T, cuSeqlens }) => rowsLeft(ids_T, cuSeqlens));
const labelled = share(({ rows_R }) => rows_R.length);
console.log(
  `${options.model} ${options.compute}, ${batchSize} samples, ${T} tokens in ${cells.length} cells, ${(100 * labelled).toFixed(1)} % labelled; beginnings once leave ${(100 * left).toFixed(1)} %`,
);
const all = rows.get("all");
for (const [name, { off, times }] of rows) {
  const ratio = median(times.map((ms, round) => all.times[round] / ms));
  console.log(
    `${name.padEnd(12)}${median(times).toFixed(0).padStart(8)} ms ${ratio.toFixed(3).padStart(8)} x   off by ${off.toExponential(1)} of the largest number`,
  );
}
console.log(
  JSON.stringify({ bench: "beginnings", ...options, T, cells: cells.length, left, labelled, rows: [...rows] }),
);

/** The same tokens in front of every sample. */
function behind(set, count) {
  const S = set.offsets.length - 1;
  const [ids, target, offsets] = [[], [], [0]];
  for (let s = 0; s < S; s++) {
    for (let i = 0; i < count; i++) {
      ids.push(5 + ((i * 7919) % 20000));
      target.push(0);
    }
    ids.push(...set.ids.subarray(set.offsets[s], set.offsets[s + 1]));
    target.push(...set.target.subarray(set.offsets[s], set.offsets[s + 1]));
    offsets.push(ids.length);
  }
  return { ids: Int32Array.from(ids), target: Uint8Array.from(target), offsets: Float64Array.from(offsets), hash: "" };
}

/** Different beginnings of the samples of a cell. */
function rowsLeft(ids_T, cuSeqlens) {
  const beginnings = new Set();
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s], name = ""; t < cuSeqlens[s + 1]; t++) beginnings.add((name += ` ${ids_T[t]}`));
  }
  return beginnings.size;
}

function distance(a, b) {
  const largest = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0) / largest;
}
