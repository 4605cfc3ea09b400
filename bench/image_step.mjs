/**
 * What images cost in training once their features are there: cells with an image for each sample under an adapter that sees them,
 * against the same cells under a text adapter. Needs a build; models other than `world` need ../shared/data.
 *
 *   node bench/image_step.mjs [--model world] [--samples 48] [--cell 512] [--features 384] [--units 32] [--layers 4] [--rounds 60]
 *     [--warm 30] [--threads 1] [--profile]
 *
 * `world` is the embedded base on records like those of the quickstart's pictures, other models are those of cpu_model.mjs on
 * Alpaca. Both compute the same cells, cut alike, in turn, each with an engine of its own: one that computed both would give memory
 * back and take it again. The ratio is that of the medians of each cell's processor time. `--profile` shares out the time of both.
 */
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { adapterLayout, cellGradient, createModel, initParameters } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { createFixedPointSum, normal } from "../packages/core/dist/training.js";
import { encodeSample, joinSamples, loadTemplate, loadTokenizer } from "../packages/data/dist/index.js";
import { addFixedPoint, createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { cutSteps, loadSamples, makeModel, median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "world" },
    samples: { type: "string", default: "48" },
    cell: { type: "string", default: "512" },
    features: { type: "string", default: "384" },
    units: { type: "string", default: "32" },
    layers: { type: "string", default: "4" },
    rounds: { type: "string", default: "60" },
    warm: { type: "string", default: "30" },
    threads: { type: "string", default: "1" },
    profile: { type: "boolean", default: false },
  },
});
const [samples, C, h, rounds, warm] = ["samples", "features", "units", "rounds", "warm"].map((key) =>
  Number(options[key]),
);
const isWorld = options.model === "world";
const folder = isWorld
  ? fileURLToPath(new URL("../packages/trainer/world/base", import.meta.url))
  : await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
const config = await readModelConfig(folder);
const threads = Number(options.threads);
const image = await loadWeights(folder, config, { weightDtypes: createEngine({ threads }).weightDtypes });
const spent = new Map();
/** Milliseconds of processor time of this process: with one thread a busy machine does not count. */
function now() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
function openModel() {
  const engine = createEngine({ threads });
  return createModel(options.profile ? timed(engine) : engine, config, image);
}

const tokens = isWorld ? await pictureSamples() : await loadSamples(samples, folder);
const rowOf = Int32Array.from({ length: samples }, (_, i) => i);
const values = Float32Array.from({ length: samples * C }, (_, i) => normal(1, 1, i));
const cells = cutSteps({ ...tokens, images: { rowOf, rows: { values, size: C } } }, samples, Number(options.cell))[0];
const labelled = cells.reduce((sum, cell) => sum + cell.rows_R.length, 0);
const count = cells.reduce((sum, cell) => sum + cell.ids_T.length, 0);

async function pictureSamples() {
  const tokenizer = await loadTokenizer(folder, config);
  const format = { template: await loadTemplate("alpaca"), rule: "response", maxLength: 256 };
  const names = ["a red ball", "a green box", "a blue star", "a yellow ball"];
  const record = (i) => ({ instruction: "What is it?", input: "", output: names[i % names.length] });
  return joinSamples(Array.from({ length: samples }, (_, i) => encodeSample(tokenizer, format, record(i))));
}

/** The engine, with the time that its operations take by name. */
function timed(own) {
  return Object.fromEntries(
    Object.entries(own).map(([name, value]) => {
      if (typeof value !== "function" || ["arena", "keep", "memory"].includes(name)) return [name, value];
      return [
        name,
        (...args) => {
          const begin = now();
          const result = value(...args);
          const entry = spent.get(name) ?? { ms: 0, calls: 0 };
          spent.set(name, { ms: entry.ms + now() - begin, calls: entry.calls + 1 });
          return result;
        },
      ];
    }),
  );
}

/** As if trained: no gate is closed and no part of a projection is zero. */
function adapterOf(vision) {
  const shape = {
    promptLength: 10,
    adaptedLayers: Number(options.layers),
    gateSharing: "per-head",
    gateActivation: "none",
    ...(vision && { vision }),
  };
  const layout = adapterLayout(shape, config);
  const params = initParameters(layout.table, 1).map((p, i) => (p === 0 ? 0.1 * normal(2, i) : p));
  return { model: openModel(), adapter: { layout, params }, sum: createFixedPointSum(layout.length) };
}
const blind = adapterOf(undefined);
const seeing = adapterOf({ fusion: "global", featureSize: C, projectionSize: h, missingImage: "none" });

async function computed({ model, adapter, sum }, cell) {
  const begin = now();
  const { gradient } = await cellGradient(model, adapter, cell, 1 / labelled);
  addFixedPoint(sum, gradient);
  return now() - begin;
}

const ms = { text: cells.map(() => []), images: cells.map(() => []) };
const profiles = { text: new Map(), images: new Map() };
const both = [
  ["text", blind],
  ["images", seeing],
];
for (let round = -warm; round < rounds; round++) {
  for (const [c, cell] of cells.entries()) {
    for (const [name, own] of round % 2 === 0 ? both : both.toReversed()) {
      spent.clear();
      const taken = await computed(own, cell);
      if (round < 0) continue;
      ms[name][c].push(taken);
      for (const [op, { ms: own_, calls }] of spent) {
        const known = profiles[name].get(op) ?? { ms: 0, calls: 0 };
        profiles[name].set(op, { ms: known.ms + own_ / rounds, calls: known.calls + calls / rounds });
      }
    }
  }
}
const total = (name) => ms[name].reduce((sum, all) => sum + median(all), 0);
const speed = (name) => ((1000 * count) / total(name)).toFixed(0);
console.log(
  `${options.model}, ${samples} samples with an image each, ${count} tokens in ${cells.length} cells, C ${C}, h ${h}: text ${speed("text")}, images ${speed("images")} tokens/s; ratio ${(total("text") / total("images")).toFixed(3)}`,
);
if (options.profile) {
  const ops = new Set([...profiles.text.keys(), ...profiles.images.keys()]);
  const at = (name, op) => profiles[name].get(op) ?? { ms: 0, calls: 0 };
  const more = (op) => at("images", op).ms - at("text", op).ms;
  for (const op of [...ops].toSorted((a, b) => more(b) - more(a))) {
    const cellsOf = ["text", "images"].map(
      (name) => `${at(name, op).ms.toFixed(2)} ms, ${Math.round(at(name, op).calls)} calls`,
    );
    console.log(op.padEnd(26), cellsOf.map((text) => text.padStart(22)).join(" "), `+${more(op).toFixed(2)}`);
  }
  const outside = (name) => total(name) - [...profiles[name].values()].reduce((sum, own) => sum + own.ms, 0);
  console.log(
    "outside of operations".padEnd(26),
    `${outside("text").toFixed(2)} ms`.padStart(22),
    `${outside("images").toFixed(2)} ms`.padStart(22),
  );
}
console.log(
  JSON.stringify({ bench: "image_step", machine: `${cpus()[0]?.model}, level ${probe().level}`, ...options, ms }),
);
