/** What the parts of the GPU benchmark share: model shapes with random weights, cells of real lengths, counted arithmetic. */
import { readFile } from "node:fs/promises";
import { weightNames } from "../../packages/core/dist/formats.js";
import { adapterLayout, parseModelConfig } from "../../packages/core/dist/index.js";

const llama = {
  model_type: "llama",
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  rope_theta: 10000,
  tie_word_embeddings: false,
};
/** Llama 2 7 B, TinyLlama 1.1 B without its groups, and one for the emulator. */
export const shapes = {
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
export const promptLength = 10;

/** Hugging Face's config.json of a shape. */
export function configJson(shape) {
  if (!shapes[shape]) throw new Error(`Cannot build the shape ${shape}: ${Object.keys(shapes).join(", ")} are known`);
  return { ...llama, ...shapes[shape] };
}

export function modelOf(shape) {
  const config = parseModelConfig(configJson(shape), `the shape ${shape}`);
  const adaptedLayers = config.layers - 2;
  const layout = adapterLayout({ promptLength, adaptedLayers, gateSharing: "scalar", gateActivation: "none" }, config);
  return { config, layout, adaptedLayers };
}

/** Random bf16 weights. All layers lie at the same place of host memory; on the GPU each has its own. */
export function randomImage(config) {
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

/** Alpaca's lengths in Llama 2's tokens (alpaca_lengths.mjs). */
export async function alpacaLengths() {
  return JSON.parse(await readFile(new URL("alpaca_lengths.json", import.meta.url), "utf8"));
}

/** `[length, answer]` of samples, in cells of at most `tokens` tokens, in their order. */
export function cutIntoCells(samples, tokens) {
  const cells = [];
  let [open, used] = [[], 0];
  for (const sample of samples) {
    if (used + sample[0] > tokens && open.length > 0) {
      cells.push(open);
      [open, used] = [[], 0];
    }
    open.push(sample);
    used += sample[0];
  }
  if (open.length > 0) cells.push(open);
  return cells;
}

/** A cell of random ids whose sequences have these lengths; the last `answer` tokens of each are labelled. */
export function randomCell(samples, { vocabSize }) {
  const ends = samples.map((_, s) => samples.slice(0, s + 1).reduce((sum, [length]) => sum + length, 0));
  const tokens = ends.at(-1);
  const rows = samples.flatMap(([length, answer], s) => {
    // The token before an answer's first predicts it; the first token of a sequence is predicted by none.
    const from = Math.max(ends[s] - length, ends[s] - answer - 1);
    return Array.from({ length: ends[s] - 1 - from }, (_, i) => from + i);
  });
  const id = (t) => (Math.imul(t, 2654435761) >>> 8) % vocabSize;
  return {
    ids_T: Int32Array.from({ length: tokens }, (_, t) => id(t)),
    positions_T: Int32Array.from(samples.flatMap(([length]) => Array.from({ length }, (_, t) => t))),
    cuSeqlens: Int32Array.from([0, ...ends]),
    rows_R: Int32Array.from(rows),
    labels_R: Int32Array.from(rows, (t) => id(t + 1)),
  };
}

/** Of a cell's gradient: forward of all layers, backward of activations of the adapted ones, the head's labelled rows twice. */
export function flops({ cuSeqlens, rows_R }, config, adaptedLayers) {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, layers, vocabSize: V } = config;
  const linear = 2 * (D * (H + 2 * G) * d + H * d * D + 3 * D * F);
  let total = 4 * D * V * rows_R.length;
  for (let s = 1; s < cuSeqlens.length; s++) {
    const n = cuSeqlens[s] - cuSeqlens[s - 1];
    const attention = 4 * H * d * ((n + 1) / 2); // a token sees half of its sequence
    total += n * (layers * (linear + attention) + adaptedLayers * (linear + 2.5 * attention));
  }
  return total;
}

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
