/**
 * Loss and gradient of one cell on one GPU, with random weights in the shape of a 7 B Llama: tokens per second, share of the
 * GPU's peak, memory against the plan. Needs a build, no data and no network. First on a new GPU:
 *
 *   ZEROGATE_TEST_GPU=1 npx --no-install vitest run packages/engine-cuda     correctness, the same suites as on the emulator
 *   node bench/cuda_step.mjs [--shape 7b] [--tokens 4096] [--length 512] [--steps 5] [--device 0] [--peak 990]
 *
 * --peak is the GPU's dense bf16 rate in TFLOP/s (H100 SXM 990, H200 990, A100 312). Other shapes: 1b, tiny (for the emulator).
 * A bare machine needs Node, `node_modules` and the built `packages/`, nothing else: copy the folder after `pnpm run build`.
 */
import { parseArgs } from "node:util";
import {
  adapterLayout,
  cellGradient,
  createModel,
  imageBytes,
  initAdapter,
  parseModelConfig,
  weightNames,
} from "../packages/core/dist/index.js";
import { createEngine, planCell } from "../packages/engine-cuda/dist/index.js";

const shapes = {
  "7b": {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 32000,
  },
  "1b": {
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    vocab_size: 32000,
  },
  tiny: { hidden_size: 128, intermediate_size: 192, num_hidden_layers: 3, num_attention_heads: 2, vocab_size: 300 },
};
const { values: options } = parseArgs({
  options: {
    shape: { type: "string", default: "7b" },
    tokens: { type: "string", default: "4096" },
    length: { type: "string", default: "512" },
    steps: { type: "string", default: "5" },
    device: { type: "string", default: "0" },
    peak: { type: "string", default: "990" },
  },
});
const [tokens, length, steps] = [options.tokens, options.length, options.steps].map(Number);
const common = {
  model_type: "llama",
  num_key_value_heads: undefined,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
};
const json = { ...common, hidden_act: "silu", rope_theta: 10000, tie_word_embeddings: false, ...shapes[options.shape] };
const config = parseModelConfig(JSON.parse(JSON.stringify(json)), `the shape ${options.shape}`);
const shape = { promptLength: 10, adaptedLayers: config.layers - 2, gateSharing: "scalar", gateActivation: "none" };
const layout = adapterLayout(shape, config);
const plan = planCell(config, { tokens, adaptedLayers: shape.adaptedLayers, compute: "bf16" });

const engine = createEngine({ devices: [Number(options.device)], compute: "bf16", plan });
console.log(`${engine.name}, ${options.shape}: ${config.layers} layers, ${shape.adaptedLayers} adapted`);
let from = performance.now();
const image = randomImage();
const model = createModel(engine, config, image);
const cell = randomCell();
const adapter = { layout, params: initAdapter(layout, 1) };
for (const { gate } of layout.places) adapter.params.fill(0.1, gate, gate + layout.gateLength);
const step = () => cellGradient(model, adapter, cell, 1 / tokens);
const first = await step(); // compiles kernels and chooses algorithms
if (!Number.isFinite(first.lossSum) || !first.gradient.every(Number.isFinite))
  throw new Error("Cannot time a step: its numbers are not finite");
console.log(
  `weights and first step ${seconds(from)} s, loss ${(first.lossSum / tokens).toFixed(4)} (ln V is ${Math.log(config.vocabSize).toFixed(4)})`,
);

const times = [];
for (let i = 0; i < steps; i++) {
  from = performance.now();
  const { lossSum, gradient } = await step();
  times.push(performance.now() - from);
  const same = lossSum === first.lossSum && gradient.every((g, j) => g === first.gradient[j]);
  if (!same) throw new Error(`Cannot trust step ${i + 1}: it has other bits than the first`);
}
const ms = times.toSorted((a, b) => a - b)[times.length >> 1];
const tflops = (flops() / ms) * 1e-9;
const { peakBytes, heldBytes } = engine.memory();
const planned = plan.weightBytes + plan.otherBytes + tokens * (plan.bytesPerToken + plan.workBytesPerToken);
console.log(
  `${tokens} tokens in sequences of ${length}: ${ms.toFixed(1)} ms (of ${times.map((t) => t.toFixed(1)).join(", ")})`,
);
console.log(
  `${((1000 * tokens) / ms).toFixed(0)} tokens/s, ${tflops.toFixed(1)} TFLOP/s, ${((100 * tflops) / Number(options.peak)).toFixed(1)} % of ${options.peak}`,
);
console.log(
  `memory ${gib(peakBytes)} at most in use, ${gib(heldBytes)} held, ${gib(planned)} planned; base ${gib(imageBytes(image))}`,
);
engine.close();

function seconds(since) {
  return ((performance.now() - since) / 1000).toFixed(1);
}
function gib(bytes) {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

/** Forward of all layers, backward of activations of the adapted ones, twice the head; attention counts half of its square. */
function flops() {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, layers, vocabSize: V } = config;
  const linear = 2 * (D * (H + 2 * G) * d + H * d * D + 3 * D * F);
  const attention = 4 * H * d * ((length + 1) / 2);
  return tokens * (layers * (linear + attention) + shape.adaptedLayers * (linear + 2.5 * attention) + 4 * D * V);
}

/** All layers lie at the same place of host memory; on the GPU each has its own. */
function randomImage() {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, vocabSize: V } = config;
  const places = {};
  let bytes = 0;
  const place = (sizes, names) => {
    const byteLength = 2 * sizes.reduce((a, b) => a * b);
    for (const name of names) places[name] = { dtype: "bf16", shape: sizes, offset: bytes, byteLength };
    bytes += Math.ceil(byteLength / 64) * 64;
  };
  const inLayers = (name) => Array.from({ length: config.layers }, (_, i) => weightNames.layer(i, name));
  place([V, D], [weightNames.embed]);
  place([V, D], [weightNames.head]);
  place([(H + 2 * G) * d, D], inLayers("qkv"));
  place([D, H * d], inLayers("o"));
  place([2 * F, D], inLayers("gateUp"));
  place([D, F], inLayers("down"));
  const maps = bytes;
  place([D], [weightNames.finalNorm, ...inLayers("attnNorm"), ...inLayers("mlpNorm")]);
  const block = new SharedArrayBuffer(bytes);
  const halves = new Uint16Array(block);
  // Signs and mantissas at random, magnitudes of 2⁻⁶ to 2⁻⁵: about what trained maps have.
  let state = 7;
  for (let i = 0; i < maps / 2; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    halves[i] = ((state >>> 16) & 0x8000) | 0x3c80 | ((state >>> 9) & 0x7f);
  }
  halves.fill(0x3f80, maps / 2);
  return { bytes: block, places };
}

function randomCell() {
  const starts = Array.from({ length: Math.ceil(tokens / length) }, (_, s) => s * length);
  return {
    ids_T: Int32Array.from({ length: tokens }, (_, t) => (Math.imul(t, 2654435761) >>> 8) % config.vocabSize),
    positions_T: Int32Array.from({ length: tokens }, (_, t) => t % length),
    cuSeqlens: Int32Array.from([...starts, tokens]),
    rows_R: Int32Array.from({ length: tokens }, (_, t) => t),
    labels_R: Int32Array.from({ length: tokens }, (_, t) => (Math.imul(t, 40503) >>> 4) % config.vocabSize),
  };
}
