/**
 * The whole model a second time, in float64, from the paper's formulas and `oracle.ts`, sharing no code with `src/` but types.
 * Its finite differences are good to about 1e-9, far below the rounding of a float32 forward.
 */
import { layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterLayout } from "../src/adapter/layout.ts";
import type { Cell } from "../src/cell/tokens.ts";
import type { ModelConfig } from "../src/model/config.ts";
import type { WeightImage } from "../src/model/weights.ts";
import * as oracle from "./oracle.ts";

type Numbers = oracle.Numbers;

/** Loss in nats of each labelled token of the cell; `params` is flat as the layout says, in float64. Plain RoPE only. */
export function oracleLosses(
  config: ModelConfig,
  image: WeightImage,
  { layout, params }: { layout: AdapterLayout; params: Numbers },
  cell: Cell,
): Numbers {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, vocabSize: V } = config;
  const T = cell.ids_T.length;
  const weight = (name: string): Numbers => {
    const place = image.places[name];
    return place
      ? Float64Array.from(new Float32Array(image.bytes, place.offset, place.byteLength / 4))
      : new Float64Array(0);
  };
  const linear = (x: Numbers, rows: number, w: Numbers, bias: Numbers): Numbers => {
    const N = w.length / (x.length / rows);
    return oracle.linear(x, w, { T: rows, N, K: x.length / rows }).map((y, i) => y + (bias[i % N] ?? 0));
  };
  const isGpt2 = config.modelType === "gpt2";
  const norm = (x: Numbers, rows: number, name: string): Numbers => {
    const size = { T: rows, D, eps: config.normEps };
    const [w, b] = [weight(name), weight(`${name}Bias`)];
    return isGpt2
      ? oracle.flat["layerNorm"]({ x_TD: x, weight_D: w, bias_D: b }, size)
      : oracle.flat["rmsNorm"]({ x_TD: x, weight_D: w }, size);
  };
  const activation = (x: Numbers): Numbers => {
    if (isGpt2) return oracle.flat["gelu"]({ up_TF: x }, { T, F });
    return oracle.flat[config.modelType === "gemma" ? "geglu" : "swiglu"]({ gateUp: x }, { T, F });
  };
  const cosSin = Float64Array.from({ length: T * d }, (_, i) => {
    const angle = cell.positions_T[Math.floor(i / d)] / config.ropeTheta ** ((2 * (i % (d / 2))) / d);
    return i % d < d / 2 ? Math.cos(angle) : Math.sin(angle);
  });

  const [table, positions] = [weight("embed"), weight("positions")];
  let x: Numbers = Float64Array.from({ length: T * D }, (_, i) => {
    const t = Math.floor(i / D);
    const position = isGpt2 ? positions[cell.positions_T[t] * D + (i % D)] : 0;
    return config.embedScale * table[cell.ids_T[t] * D + (i % D)] + position;
  });
  for (let l = 0; l < config.layers; l++) {
    const w = (name: string) => weight(`layers.${l}.${name}`);
    const isSliding = config.slidingLayers?.includes(l) ?? true;
    const attentionSize = { T, H, G, d, window: isSliding ? config.slidingWindow : 0 };
    const [qkvWeight, qkvBias] = [w("qkv"), w("qkvBias")];
    const projected = linear(norm(x, T, `layers.${l}.attnNorm`), T, qkvWeight, qkvBias);
    const qkv = isGpt2 ? projected : oracle.rope(projected, cosSin, attentionSize);
    let [o, joined]: [Numbers, Numbers] = [
      oracle.attention(qkv, cell.cuSeqlens, attentionSize),
      new Float64Array(T * D),
    ];
    const place = layerParts(layout).find(({ layer }) => layer === l);
    if (place) {
      const K = layout.shape.promptLength;
      const prompts = params.subarray(place.prompt.offset, place.gate.offset);
      const kv = linear(prompts, K, qkvWeight.subarray(H * d * D), qkvBias.subarray(H * d));
      const gate = Float64Array.from({ length: H }, (_, h) => {
        const stored = params[place.gate.offset + (layout.shape.gateSharing === "scalar" ? 0 : h)];
        return layout.shape.gateActivation === "tanh" ? Math.tanh(stored) : stored;
      });
      const joinAt = isGpt2 ? joined : o; // gpt2 adds it behind the output projection
      const sum = oracle.promptAttention({ o: joinAt, qkv, kv, gate }, { ...attentionSize, K });
      [o, joined] = isGpt2 ? [o, sum] : [sum, joined];
    }
    const bias = w("oBias").map((b) => (place && layout.shape.outputBiasTimes === "twice" ? 2 * b : b));
    const attended = add(add(x, linear(o, T, w("o"), bias)), joined);
    const m = linear(norm(attended, T, `layers.${l}.mlpNorm`), T, w("gateUp"), w("gateUpBias"));
    x = add(attended, linear(activation(m), T, w("down"), w("downBias")));
  }
  const rows = Float64Array.from(
    { length: cell.rows_R.length * D },
    (_, i) => x[cell.rows_R[Math.floor(i / D)] * D + (i % D)],
  );
  const R = cell.rows_R.length;
  const y = norm(rows, R, "finalNorm");
  return oracle.headLoss(y, weight(config.tiedEmbeddings ? "embed" : "head"), cell.labels_R, { R, D, V });
}

const add = (a: Numbers, b: Numbers): Numbers => a.map((value, i) => value + b[i]);
