/**
 * Features of images: the CPU engine's tower and transformers' on this machine. Needs a build; transformers' side needs a Python
 * with torch and transformers: ZEROGATE_PYTHON names it.
 *
 *   node bench/towers.mjs [--tower b32] [--images 32] [--batch 8] [--threads 2] [--rounds 5] [--packing]
 *
 * CLIP towers with random weights (b32: ViT-B/32, l14: ViT-L/14), pixels of noise, f32 on both sides. Both must see the same:
 * checked first. Rounds are interleaved, one side at a time; medians, and the ratio of each round. transformers is measured at
 * our batch and at one image a time, and its better one counts.
 */
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { serializeSafetensors } from "../packages/core/dist/formats.js";
import { readTower } from "../packages/core/dist/node.js";
import { createTower, globalFeatures, towerFeatures } from "../packages/core/dist/vision.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    tower: { type: "string", default: "b32" },
    images: { type: "string", default: "32" },
    batch: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    packing: { type: "boolean", default: false },
  },
});
const [images, batchSize, threads, rounds] = ["images", "batch", "threads", "rounds"].map((key) =>
  Number(options[key]),
);
const shapes = {
  b32: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    patch_size: 32,
    projection_dim: 512,
  },
  l14: {
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    patch_size: 14,
    projection_dim: 768,
  },
};
const shape = {
  model_type: "clip_vision_model",
  architectures: ["CLIPVisionModelWithProjection"],
  ...shapes[options.tower],
  image_size: 224,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
};

/** Numbers between -scale and scale. */
function noise(length, scale, seed) {
  const values = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = scale * (state / 2 ** 31 - 1);
  }
  return values;
}

/** Writes the tower in the layout of Hugging Face. */
async function makeTower(folder) {
  const { hidden_size: W, intermediate_size: F, patch_size: p, projection_dim, num_hidden_layers } = shape;
  const tensors = new Map();
  const add = (name, sizes, values) => {
    tensors.set(name, { dtype: "F32", shape: sizes, bytes: new Uint8Array(values.buffer) });
  };
  const map = (name, sizes) => {
    const length = sizes.reduce((a, b) => a * b);
    add(name, sizes, noise(length, 1.7 / Math.sqrt(length / sizes[0]), tensors.size + 1));
  };
  const both = (name, sizes) => {
    map(`${name}.weight`, sizes);
    add(`${name}.bias`, [sizes[0]], noise(sizes[0], 0.02, tensors.size + 1));
  };
  const norm = (name) => {
    add(`${name}.weight`, [W], new Float32Array(W).fill(1));
    add(`${name}.bias`, [W], new Float32Array(W));
  };
  const at = "vision_model.";
  add(`${at}embeddings.class_embedding`, [W], noise(W, 1, 7));
  map(`${at}embeddings.patch_embedding.weight`, [W, 3, p, p]);
  map(`${at}embeddings.position_embedding.weight`, [(224 / p) ** 2 + 1, W]);
  norm(`${at}pre_layrnorm`);
  for (let i = 0; i < num_hidden_layers; i++) {
    const layer = `${at}encoder.layers.${i}.`;
    norm(`${layer}layer_norm1`);
    for (const part of ["q", "k", "v", "out"]) both(`${layer}self_attn.${part}_proj`, [W, W]);
    norm(`${layer}layer_norm2`);
    both(`${layer}mlp.fc1`, [F, W]);
    both(`${layer}mlp.fc2`, [W, F]);
  }
  norm(`${at}post_layernorm`);
  map("visual_projection.weight", [projection_dim, W]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(shape));
  await writeFile(join(folder, "preprocessor_config.json"), JSON.stringify(preprocessor));
  await writeFile(join(folder, "model.safetensors"), serializeSafetensors(tensors, { format: "pt" }));
}
const preprocessor = {
  do_resize: true,
  size: { shortest_edge: 224 },
  resample: 3,
  do_center_crop: true,
  crop_size: { height: 224, width: 224 },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

/** transformers in a process of its own, which waits while we are measured. */
function startTheirs(python, folder, pixelFile, features) {
  const script = fileURLToPath(new URL("vs_peft/tower.py", import.meta.url));
  const hidden = features.map((name) => Number(name.split("@")[1]));
  const job = JSON.stringify({ tower: folder, pixels: pixelFile, images, threads, hidden });
  const child = spawn(python, [script, job], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("Cannot compare: transformers ended early, its message is above");
    return JSON.parse(value);
  };
  return {
    next,
    async run(batch) {
      child.stdin.write(`${batch}\n`);
      return (await next()).seconds;
    },
    end: () => child.stdin.end(),
  };
}

const folder = join(tmpdir(), `zerogate-bench-tower-${options.tower}`);
await makeTower(folder);
const pixelFile = join(folder, "pixels.f32");
const numbers = 3 * 224 * 224;
const all = noise(images * numbers, 2, 99);
await writeFile(pixelFile, new Uint8Array(all.buffer));
const pixels = Array.from({ length: images }, (_, i) => all.subarray(i * numbers, (i + 1) * numbers));

const { config, image } = await readTower(folder);
const tower = createTower(createEngine({ threads, packing: options.packing }), config, image);
const features = globalFeatures(config);
const ask = { features, featureNorm: "none", batchSize };
const first = await towerFeatures(tower, pixels, ask); // warms up

const python = process.env.ZEROGATE_PYTHON;
const theirs = python && startTheirs(python, folder, pixelFile, features);
const versions = theirs && (await theirs.next());
if (theirs) {
  const bytes = await readFile(versions.features);
  const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const worst = first.values.reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i])), 0);
  if (!(worst < 1e-4 * largest)) throw new Error(`Cannot time: features differ by ${worst} of ${largest}`);
  console.log(`features agree: largest difference ${(worst / largest).toExponential(1)} of the largest magnitude`);
}

const batches = [...new Set([batchSize, 1])];
const rates = { ours: [], ...Object.fromEntries(batches.map((batch) => [batch, []])) };
for (let round = 0; round < rounds; round++) {
  const begin = performance.now();
  await towerFeatures(tower, pixels, ask);
  rates.ours.push((1000 * images) / (performance.now() - begin));
  for (const batch of theirs ? batches : []) rates[batch].push(images / (await theirs.run(batch)));
}
theirs?.end();

const rows = [{ who: `zerogate, batch ${batchSize}`, imagesPerSecond: median(rates.ours) }];
if (theirs) {
  for (const batch of batches)
    rows.push({ who: `transformers, batch ${batch}`, imagesPerSecond: median(rates[batch]) });
}
console.log(`${options.tower}, ${images} images of 224 pixels, ${threads} threads, ${rounds} rounds; images/s`);
for (const { who, imagesPerSecond } of rows) console.log(who.padEnd(26), imagesPerSecond.toFixed(2).padStart(8));
if (theirs) {
  const ratios = rates.ours.map((rate, i) => rate / Math.max(...batches.map((batch) => rates[batch][i])));
  console.log(`ratio ${median(ratios).toFixed(2)} (rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")})`);
} else {
  console.log("transformers was not run: ZEROGATE_PYTHON names no Python");
}
const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}`;
console.log(`${machine}${theirs ? `; ${versions.versions}` : ""}`);
console.log(JSON.stringify({ bench: "towers", machine, ...options, rows }));
