/**
 * What it saves to compute beginnings once (`sharedBeginnings`): time of a cell's forward and backward, shared and not, in turn.
 * Needs a build and ../shared/data.
 *
 *   node bench/beginnings.mjs [--model 135m] [--compute bf16] [--cell 2048] [--system 200] [--multiple 1] [--batch 64] [--rounds 3]
 *
 * --system puts this number of tokens before each record of Alpaca, all the same, as a system prompt does; 0 leaves the template's
 * own beginning. Cells are those that a plan cuts with --multiple (0: first fit). The loss and the gradient of both passes are
 * compared first. Prints the medians of the rounds, their ratio, and the share of the tokens that is left to compute.
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
async function pass(sharesBeginnings) {
  const begin = performance.now();
  const results = [];
  for (const cell of cells)
    results.push(await cellGradient(model, { layout, params }, cell, 1 / T, { sharesBeginnings }));
  return { ms: performance.now() - begin, results };
}

const [once, whole] = [await pass(true), await pass(false)];
const off = Math.max(...once.results.map(({ gradient }, n) => distance(gradient, whole.results[n].gradient)));
const times = { whole: [], once: [] };
for (let round = 0; round < Number(options.rounds); round++) {
  times.whole.push((await pass(false)).ms);
  times.once.push((await pass(true)).ms);
}
const [wholeMs, onceMs] = [median(times.whole), median(times.once)];
const left = cells.reduce((sum, { ids_T, cuSeqlens }) => sum + rowsLeft(ids_T, cuSeqlens), 0) / T;
console.log(
  `${options.model} ${options.compute}, ${batchSize} samples, ${T} tokens in ${cells.length} cells: ${wholeMs.toFixed(0)} ms, beginnings once ${onceMs.toFixed(0)} ms: ${(wholeMs / onceMs).toFixed(2)} x; ${(100 * left).toFixed(1)} % of the tokens are computed; gradients differ by ${off.toExponential(1)} of their largest`,
);
console.log(
  JSON.stringify({ bench: "beginnings", ...options, T, cells: cells.length, left, wholeMs, onceMs, times, off }),
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
