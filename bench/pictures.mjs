/**
 * What an adapter learns to see (spec of images §10): a thing and its colour in drawn pictures, the colour alone, or what a photo
 * of CIFAR-10 shows. Needs a build; `--base stories260K` and photos need ../shared/data, pictures on the embedded base nothing.
 *
 *   node bench/pictures.mjs [--base world] [--question thing] [--seeds 0,1,2] [--steps 700] [--batch 24] [--lr 1e-2] [--layers 4]
 *     [--units 32] [--train 1000] [--test 200] [--threads 2] [--template alpaca] [--blind]
 *
 * Questions are `thing`, `colour` and `photo`; of photos 12 of each of the ten classes are learned and 8 asked, 300 steps of 40.
 * Four conditions of the same adapter on pictures that it has not seen: with the image, without one, with another picture's.
 * Answers by option scoring (the likeliest of all answers) and greedily. `--blind` trains a text adapter, which sees nothing.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  adapterLayout,
  cellGradient,
  cellScores,
  createModel,
  initParameters,
  packCell,
} from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig, readTower } from "../packages/core/dist/node.js";
import {
  adamWStep,
  clipByGlobalNorm,
  createAdamWState,
  randomBits,
  updateRanges,
} from "../packages/core/dist/training.js";
import { createTower } from "../packages/core/dist/vision.js";
import { encodeSample, loadTemplate, loadTokenizer } from "../packages/data/dist/index.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { imageFeatures } from "../packages/vision/dist/index.js";
import { pictureAnswers, writePictureSet } from "../packages/zerogate/dist/pictures/picture_set.js";
import { shared } from "./cpu_model.mjs";

const { values: given } = parseArgs({
  options: {
    base: { type: "string", default: "world" },
    question: { type: "string", default: "thing" },
    seeds: { type: "string", default: "0" },
    steps: { type: "string" },
    batch: { type: "string" },
    lr: { type: "string", default: "1e-2" },
    warmup: { type: "string" },
    layers: { type: "string", default: "4" },
    units: { type: "string" },
    prompts: { type: "string", default: "10" },
    clip: { type: "string", default: "0" },
    beta2: { type: "string", default: "0.95" },
    train: { type: "string", default: "1000" },
    test: { type: "string", default: "200" },
    threads: { type: "string", default: "2" },
    template: { type: "string", default: "alpaca" },
    blind: { type: "boolean", default: false },
  },
});
const { question } = given;
const isPhoto = question === "photo";
const usual = isPhoto
  ? { steps: "300", batch: "40", warmup: "30", units: "64" }
  : { steps: "700", batch: "24", warmup: "20", units: "32" };
const options = { ...usual, ...given };
const number = (key) => Number(options[key]);
const world = (path) => fileURLToPath(new URL(`../packages/trainer/world/${path}`, import.meta.url));
const folder = options.base === "world" ? world("base") : shared(options.base);
const engine = createEngine({ threads: number("threads") });
const config = await readModelConfig(folder);
const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
const model = createModel(engine, config, image);
const tokenizer = await loadTokenizer(folder, config);
const template = await loadTemplate(options.template);
const format = { template, rule: "response", maxLength: 512 };

const loaded = await readTower(world("tower"));
const tower = createTower(createEngine({ threads: number("threads") }), loaded.config, loaded.image);
const classes = ["cls@1", "cls@2", "cls@3", "cls@4"];
const features = isPhoto ? classes : [...classes, "mean@1", "mean@2", "mean@3", "mean@4"];
const { train, test, answers, seenTrain, seenTest } = await (isPhoto ? photos() : drawnPictures());
const C = seenTrain.shape[1];

/** Pictures that the product draws, in a folder that goes again. */
async function drawnPictures() {
  const root = await mkdtemp(join(tmpdir(), "zerogate-bench-pictures-"));
  try {
    const set = (name, seed) => writePictureSet(root, name, { count: number(name), seed, question });
    return await seen(root, await set("train", 1), await set("test", 2), pictureAnswers(question));
  } finally {
    await rm(root, { recursive: true });
  }
}

/** The first 12 photos of each class to learn from, the last 8 to ask about. */
async function photos() {
  const root = shared("vit-cifar10/eval");
  const names = (await readdir(root)).filter((name) => name.endsWith(".jpg")).toSorted();
  const classOf = (name) => name.split("_")[0];
  const all = names.map((name) => {
    return { instruction: "What is in the picture?", input: "", output: `It is a ${classOf(name)}.`, image: name };
  });
  const place = (i) => i - names.findIndex((name) => classOf(name) === classOf(names[i]));
  const part = (isAsked) => all.filter((_, i) => place(i) >= 12 === isAsked);
  return seen(root, part(false), part(true), [...new Set(all.map(({ output }) => output))]);
}

async function seen(root, learned, asked, all) {
  const ask = { root, preprocess: loaded.preprocess, towerHash: loaded.hash, features };
  const of = (records) =>
    imageFeatures(
      tower,
      records.map((record) => record.image),
      ask,
    );
  return { train: learned, test: asked, answers: all, seenTrain: await of(learned), seenTest: await of(asked) };
}

/** Samples of records, each with a row of features. */
function tokensOf(records, rowOf, values) {
  const samples = records.map((record) => encodeSample(tokenizer, format, record));
  const offsets = new Float64Array(samples.length + 1);
  for (const [i, { ids }] of samples.entries()) offsets[i + 1] = offsets[i] + ids.length;
  const all = { ids: new Int32Array(offsets.at(-1)), target: new Uint8Array(offsets.at(-1)), offsets, hash: "" };
  for (const [i, { ids, firstTarget }] of samples.entries()) {
    all.ids.set(ids, offsets[i]);
    all.target.fill(1, offsets[i] + firstTarget, offsets[i + 1]);
  }
  return { ...all, images: { rowOf: Int32Array.from(rowOf), rows: { values, size: C } } };
}

/** How often the likeliest answer is the right one. */
async function accuracy(adapter, rowOf) {
  const records = test.flatMap(({ instruction, input }) => answers.map((output) => ({ instruction, input, output })));
  const rows = rowOf.flatMap((row) => answers.map(() => row));
  const tokens = tokensOf(records, rows, seenTest.values);
  let right = 0;
  for (let i = 0; i < test.length; i++) {
    const cell = packCell(
      tokens,
      answers.map((_, a) => i * answers.length + a),
    );
    const { nll_R } = await cellScores(model, adapter, cell);
    const totals = answers.map(() => 0);
    for (const [r, row] of cell.rows_R.entries()) {
      const answer = cell.cuSeqlens.findIndex((begin) => begin > row) - 1;
      totals[answer] += nll_R[r];
    }
    if (answers[totals.indexOf(Math.min(...totals))] === test[i].output) right++;
  }
  return (100 * right) / test.length;
}

/** How often every token of the right answer is the likeliest one. */
async function greedy(adapter, rowOf) {
  const tokens = tokensOf(test, rowOf, seenTest.values);
  let right = 0;
  for (let i = 0; i < test.length; i++) {
    const { hit_R } = await cellScores(model, adapter, packCell(tokens, [i]));
    if (hit_R.every((hit) => hit === 1)) right++;
  }
  return (100 * right) / test.length;
}

async function run(seed) {
  const vision = options.blind
    ? undefined
    : { fusion: "global", featureSize: C, projectionSize: number("units"), missingImage: "none" };
  const shape = {
    promptLength: number("prompts"),
    adaptedLayers: number("layers"),
    gateSharing: "per-head",
    gateActivation: "none",
    vision,
  };
  const layout = adapterLayout(shape, config);
  const adapter = { layout, params: initParameters(layout.table, seed) };
  const tokens = tokensOf(train, seenTrain.rowOf, seenTrain.values);
  const [steps, batch] = [number("steps"), number("batch")];
  const state = createAdamWState(layout.length);
  const ranges = updateRanges(layout.table, "original", 0.02);
  let loss = 0;
  const begin = performance.now();
  for (let step = 0; step < steps; step++) {
    const samples = Array.from({ length: batch }, (_, i) => randomBits(seed, step, i) % train.length);
    const cell = packCell(tokens, samples);
    const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / cell.rows_R.length);
    loss = lossSum / cell.rows_R.length;
    if (number("clip") > 0) clipByGlobalNorm(gradient, number("clip"));
    const warm = Math.min(1, (step + 1) / number("warmup"));
    const rate = number("lr") * warm * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
    adamWStep(adapter.params, gradient, state, rate, { beta1: 0.9, beta2: number("beta2"), eps: 1e-8, ranges });
    if (step % 100 === 99) console.error(`seed ${seed} step ${step + 1} loss ${loss.toFixed(3)}`);
  }
  const seconds = (performance.now() - begin) / 1000;
  const own = [...seenTest.rowOf];
  const others = own.map((_, i) => own[(i + (isPhoto ? 24 : 7)) % own.length]);
  const none = own.map(() => -1);
  return {
    seed,
    image: await accuracy(adapter, own),
    greedy: await greedy(adapter, own),
    shuffled: await accuracy(adapter, others),
    none: await accuracy(adapter, none),
    loss,
    seconds,
    numbers: layout.length,
  };
}

const rows = [];
for (const seed of options.seeds.split(",").map(Number)) {
  rows.push(await run(seed));
  console.error(JSON.stringify(rows.at(-1)));
}
const mean = (key) => rows.reduce((sum, row) => sum + row[key], 0) / rows.length;
console.log(
  `${options.base}, ${question}, ${answers.length} answers, ${rows[0].numbers} trained numbers, ${options.steps} steps of ${options.batch}`,
);
for (const key of ["image", "greedy", "shuffled", "none"]) {
  console.log(
    key.padEnd(10),
    `${mean(key).toFixed(1)} %`.padStart(8),
    `(${rows.map((row) => row[key].toFixed(1)).join(", ")})`,
  );
}
console.log(
  JSON.stringify({ bench: "pictures", machine: `${cpus()[0]?.model}, level ${probe().level}`, ...options, rows }),
);
