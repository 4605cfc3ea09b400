/**
 * The whole model as TensorFlow.js sees it: forward composites only, so that TensorFlow.js's own autodiff can differentiate the
 * loss. No backward of ours is in it.
 */

import * as tf from "@tensorflow/tfjs-core";
import { type AdapterLayout, type Cell, layerParts, type ModelConfig, type WeightImage } from "@zerogate/core";
import { partLength } from "@zerogate/core/training";
import { attend } from "../src/ops/attend.ts";
import { attention } from "../src/ops/attention.ts";
import { flat } from "../src/ops/flat.ts";
import { rope } from "../src/ops/rope.ts";
import { plainProducts } from "../src/products.ts";
import { type Maths, part, type Tensor } from "../src/tf.ts";

export const maths: Maths = { tf, products: plainProducts(tf) };

const rmsNorm = (x_TD: Tensor, weight_D: Tensor, eps: number): Tensor =>
  flat.rmsNorm(maths, { x_TD, weight_D }, { eps })["y_TD"];

/** `promptAttention` with gates that can be differentiated. */
export function gatedAttention(
  input: { o: Tensor; qkv: Tensor; kv: Tensor; gate_H: Tensor },
  size: { H: number; G: number; d: number },
): Tensor {
  const { H, G } = size;
  const q = part(tf, input.qkv, 1, 0, H);
  const prompts = { k: part(tf, input.kv, 1, 0, G), v: part(tf, input.kv, 1, G, 2 * G), mask: undefined };
  return tf.add(input.o, tf.mul(attend(maths, q, prompts, size).o_nHd, tf.reshape(input.gate_H, [H, 1])));
}

/** Σ nll, of all logits at once: the engine gathers in chunks what TensorFlow.js cannot differentiate. */
export function nllSum(y_RD: Tensor, head_VD: Tensor, labels_R: Int32Array): Tensor {
  const z_RV = maths.products.linear(y_RD, head_VD);
  const onehot = tf.cast(tf.oneHot(tf.tensor1d(labels_R, "int32"), head_VD.shape[0] ?? 0), "float32");
  return tf.sub(tf.sum(tf.logSumExp(z_RV, 1)), tf.sum(tf.mul(z_RV, onehot)));
}

/** Σ nll of the cell's labelled tokens; `params` are the adapter's, flat. Plain RoPE only. */
export function tfLoss(
  config: ModelConfig,
  image: WeightImage,
  layout: AdapterLayout,
  cell: Cell,
): (params: Tensor) => Tensor {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, normEps: eps } = config;
  const T = cell.ids_T.length;
  const size = { T, H, G, d, window: config.slidingWindow };
  const weight = (name: string): Tensor | undefined => {
    const place = image.places[name];
    if (!place) return undefined;
    const values = new Float32Array(image.bytes, place.offset, place.byteLength / 4);
    return tf.tensor(values.slice(), [...place.shape]);
  };
  const needed = (name: string): Tensor => {
    const found = weight(name);
    if (!found) throw new Error(`no weight ${name}`);
    return found;
  };
  const linear = (x: Tensor, w: Tensor, bias: Tensor | undefined) => {
    const y = maths.products.linear(x, w);
    return bias ? tf.add(y, bias) : y;
  };
  const angles = tf.tensor2d(
    Float32Array.from({ length: T * d }, (_, i) => {
      const angle = cell.positions_T[Math.floor(i / d)] / config.ropeTheta ** ((2 * (i % (d / 2))) / d);
      return i % d < d / 2 ? Math.cos(angle) : Math.sin(angle);
    }),
    [T, d],
  );

  return (params) => {
    let x: Tensor = tf.gather(needed("embed"), tf.tensor1d(cell.ids_T, "int32"));
    for (let l = 0; l < config.layers; l++) {
      const w = (name: string) => needed(`layers.${l}.${name}`);
      const bias = (name: string) => weight(`layers.${l}.${name}`);
      const h = rmsNorm(x, w("attnNorm"), eps);
      const merged = tf.reshape(linear(h, w("qkv"), bias("qkvBias")), [T, H + 2 * G, d]);
      const qkv = rope(maths, merged, angles, size);
      let o = attention(maths, qkv, cell.cuSeqlens, size).o_THd;
      const place = layerParts(layout).find(({ layer }) => layer === l);
      if (place) {
        const K = layout.shape.promptLength;
        const prompts = tf.reshape(tf.slice(params, [place.prompt.offset], [K * D]), [K, D]);
        const all = tf.reshape(linear(prompts, w("qkv"), bias("qkvBias")), [K, H + 2 * G, d]);
        const stored = tf.slice(params, [place.gate.offset], [partLength(place.gate)]);
        const gate = layout.shape.gateActivation === "tanh" ? tf.tanh(stored) : stored;
        const gate_H = layout.shape.gateSharing === "scalar" ? tf.mul(gate, tf.ones([H])) : gate;
        o = gatedAttention({ o, qkv, kv: part(tf, all, 1, H, H + 2 * G), gate_H }, size);
      }
      const attended: Tensor = tf.add(x, linear(tf.reshape(o, [T, H * d]), w("o"), bias("oBias")));
      const m = linear(rmsNorm(attended, w("mlpNorm"), eps), w("gateUp"), bias("gateUpBias"));
      x = tf.add(attended, linear(flat.swiglu(maths, { gateUp: m }, { T, F })["y_TF"], w("down"), bias("downBias")));
    }
    const rows = tf.gather(x, tf.tensor1d(cell.rows_R, "int32"));
    const y = rmsNorm(rows, needed("finalNorm"), eps);
    const head = needed(config.tiedEmbeddings ? "embed" : "head");
    return nllSum(y, head, cell.labels_R);
  };
}
