/**
 * The whole model once more in float64, from the paper's formulas and `oracle.ts`, sharing no code with `src/` but types.
 * Its finite differences are good to about 1e-9, far below the rounding of a float32 forward.
 */
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
  const attentionSize = { T, H, G, d, window: config.slidingWindow };
  const norm = { T, D, eps: config.normEps };
  const cosSin = Float64Array.from({ length: T * d }, (_, i) => {
    const angle = cell.positions_T[Math.floor(i / d)] / config.ropeTheta ** ((2 * (i % (d / 2))) / d);
    return i % d < d / 2 ? Math.cos(angle) : Math.sin(angle);
  });

  const table = weight("embed");
  let x: Numbers = Float64Array.from({ length: T * D }, (_, i) => table[cell.ids_T[Math.floor(i / D)] * D + (i % D)]);
  for (let l = 0; l < config.layers; l++) {
    const w = (name: string) => weight(`layers.${l}.${name}`);
    const [qkvWeight, qkvBias] = [w("qkv"), w("qkvBias")];
    const qkv = oracle.rope(
      linear(oracle.rmsNorm(x, w("attnNorm"), norm), T, qkvWeight, qkvBias),
      cosSin,
      attentionSize,
    );
    let o = oracle.attention(qkv, cell.cuSeqlens, attentionSize);
    const place = layout.places.find(({ layer }) => layer === l);
    if (place) {
      const K = layout.promptLength;
      const prompts = params.subarray(place.prompt, place.gate);
      const kv = linear(prompts, K, qkvWeight.subarray(H * d * D), qkvBias.subarray(H * d));
      const gate = Float64Array.from({ length: H }, (_, h) => {
        const stored = params[place.gate + (layout.gateSharing === "scalar" ? 0 : h)];
        return layout.gateActivation === "tanh" ? Math.tanh(stored) : stored;
      });
      o = oracle.promptAttention({ o, qkv, kv, gate }, { ...attentionSize, K });
    }
    const attended = add(x, linear(o, T, w("o"), w("oBias")));
    const m = linear(oracle.rmsNorm(attended, w("mlpNorm"), norm), T, w("gateUp"), w("gateUpBias"));
    x = add(attended, linear(oracle.swiglu(m, { T, F }), T, w("down"), w("downBias")));
  }
  const rows = Float64Array.from(
    { length: cell.rows_R.length * D },
    (_, i) => x[cell.rows_R[Math.floor(i / D)] * D + (i % D)],
  );
  const R = cell.rows_R.length;
  const y = oracle.rmsNorm(rows, weight("finalNorm"), { ...norm, T: R });
  return oracle.headLoss(y, weight(config.tiedEmbeddings ? "embed" : "head"), cell.labels_R, { R, D, V });
}

const add = (a: Numbers, b: Numbers): Numbers => a.map((value, i) => value + b[i]);
