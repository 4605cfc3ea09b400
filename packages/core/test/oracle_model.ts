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

/** Loss in nats of each labelled token of the cell; `params` is flat as the layout says, in float64. Rotation is plain or longrope. */
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
  const hasLayerNorm = ["gpt2", "stablelm", "gpt_neox"].includes(config.modelType);
  const norm = (x: Numbers, rows: number, name: string): Numbers => {
    const size = { T: rows, D, eps: config.normEps };
    const [w, b] = [weight(name), weight(`${name}Bias`)];
    return hasLayerNorm
      ? oracle.flat["layerNorm"]({ x_TD: x, weight_D: w, bias_D: b }, size)
      : oracle.flat["rmsNorm"]({ x_TD: x, weight_D: w }, size);
  };
  const activation = (x: Numbers): Numbers => {
    if (isGpt2) return oracle.flat["gelu"]({ up_TF: x }, { T, F });
    if (config.modelType === "gpt_neox") return oracle.flat["geluErf"]({ up_TF: x }, { T, F });
    return oracle.flat[config.modelType.startsWith("gemma") ? "geglu" : "swiglu"]({ gateUp: x }, { T, F });
  };
  const angles = (rope: Partial<ModelConfig> = {}) =>
    Float64Array.from({ length: T * d }, (_, i) => {
      const [angle, stretch] = rotation({ ...config, ...rope }, cell, Math.floor(i / d), i % (d / 2));
      return stretch * (i % d < d / 2 ? Math.cos(angle) : Math.sin(angle));
    });
  const cosSin = angles();
  const slidingCosSin = config.slidingRope && angles(config.slidingRope);

  const [table, positions] = [weight("embed"), weight("positions")];
  let x: Numbers = Float64Array.from({ length: T * D }, (_, i) => {
    const t = Math.floor(i / D);
    const position = isGpt2 ? positions[cell.positions_T[t] * D + (i % D)] : 0;
    return config.embedScale * table[cell.ids_T[t] * D + (i % D)] + position;
  });
  // Scales of scores and logits are in the weights already.
  const { outputNorms, residualScale = 1 } = config;
  const rmsNorm = (y: Numbers, weight_D: Numbers) =>
    oracle.flat["rmsNorm"]({ x_TD: y, weight_D }, { T, D, eps: config.normEps });
  const enter = (y: Numbers, name: string) => (outputNorms === "after-only" ? y : norm(y, T, name));
  const leave = (y: Numbers, name: string) =>
    (outputNorms ? rmsNorm(y, weight(name)) : y).map((value) => residualScale * value);
  for (let l = 0; l < config.layers; l++) {
    const w = (name: string) => weight(`layers.${l}.${name}`);
    const isSliding = config.slidingLayers?.includes(l) ?? true;
    const attentionSize = { T, H, G, d, cap: config.scoreCap, window: isSliding ? config.slidingWindow : 0 };
    if (config.deltaNet?.layers.includes(l)) {
      const attended = add(x, deltaNet(config, enter(x, `layers.${l}.attnNorm`), w, cell));
      const h = enter(attended, `layers.${l}.mlpNorm`);
      x = add(attended, linear(activation(linear(h, T, w("gateUp"), w("gateUpBias"))), T, w("down"), w("downBias")));
      continue;
    }
    const [qkvWeight, qkvBias] = [w("qkv"), w("qkvBias")];
    const made = linear(enter(x, `layers.${l}.attnNorm`), T, qkvWeight, qkvBias);
    const [raw, gates] = config.outputGate ? parted(made, T, H * d) : [made, undefined];
    const [qNorm, kNorm] = [w("qNorm"), w("kNorm")];
    const projected = config.qkNorm
      ? normed(
          raw,
          (H + 2 * G) * d,
          [
            [qNorm, H * d],
            [kNorm, G * d],
          ],
          config.normEps,
        )
      : raw;
    const isRotated = !isGpt2 && !config.unrotatedLayers?.includes(l);
    const rotated = !isRotated
      ? projected
      : oracle.rope(projected, (isSliding && slidingCosSin) || cosSin, attentionSize);
    const { beta = 0, originalContext = 1 } = config.queryGrowth ?? {};
    const qkv = rotated.map((value, at) => {
      const [t, column] = [Math.floor(at / ((H + 2 * G) * d)), at % ((H + 2 * G) * d)];
      const growth = beta * Math.log(1 + Math.floor(cell.positions_T[t] / originalContext));
      return column < H * d ? value * (1 + growth) : value;
    });
    let [o, joined]: [Numbers, Numbers] = [
      oracle.attention(qkv, cell.cuSeqlens, attentionSize),
      new Float64Array(T * D),
    ];
    const place = layerParts(layout).find(({ layer }) => layer === l);
    if (place) {
      const K = layout.shape.promptLength;
      const prompts = params.subarray(place.prompt.offset, place.gate.offset);
      const keys = (config.outputGate ? 2 : 1) * H * d;
      const rawKv = linear(prompts, K, qkvWeight.subarray(keys * D), qkvBias.subarray(keys));
      const kv = config.qkNorm ? normed(rawKv, 2 * G * d, [[kNorm, G * d]], config.normEps) : rawKv;
      const gate = Float64Array.from({ length: H }, (_, h) => {
        const stored = params[place.gate.offset + (layout.shape.gateSharing === "scalar" ? 0 : h)];
        return layout.shape.gateActivation === "tanh" ? Math.tanh(stored) : stored;
      });
      const joinAt = isGpt2 ? joined : o; // gpt2 adds it behind the output projection
      const sum = oracle.promptAttention({ o: joinAt, qkv, kv, gate }, { ...attentionSize, K });
      [o, joined] = isGpt2 ? [o, sum] : [sum, joined];
    }
    if (gates) o = oracle.flat["sigmoidGate"]({ x_TF: o, gate_TF: gates }, {});
    const bias = w("oBias").map((b) => (place && layout.shape.outputBiasTimes === "twice" ? 2 * b : b));
    const attended = add(add(x, leave(linear(o, T, w("o"), bias), `layers.${l}.attnOutNorm`)), joined);
    const mlpInput = config.parallelResidual ? x : attended;
    const h = enter(mlpInput, `layers.${l}.mlpNorm`);
    const y =
      w("router").length > 0
        ? routed(config, h, { router: w("router"), gateUp: w("gateUp"), down: w("down") })
        : linear(activation(linear(h, T, w("gateUp"), w("gateUpBias"))), T, w("down"), w("downBias"));
    x = add(attended, leave(y, `layers.${l}.mlpOutNorm`));
  }
  const rows = Float64Array.from(
    { length: cell.rows_R.length * D },
    (_, i) => x[cell.rows_R[Math.floor(i / D)] * D + (i % D)],
  );
  const R = cell.rows_R.length;
  const y = norm(rows, R, "finalNorm");
  return oracle.headLoss(y, weight(config.tiedEmbeddings ? "embed" : "head"), cell.labels_R, {
    R,
    D,
    V,
    cap: config.logitCap,
  });
}

/** Rows of queries, gates, keys and values without the gates, and those. */
function parted(made: Numbers, T: number, Q: number): [Numbers, Numbers] {
  const width = made.length / T;
  const isGate = (at: number) => at % width >= Q && at % width < 2 * Q;
  return [made.filter((_, at) => !isGate(at)), made.filter((_, at) => isGate(at))];
}

/** What a gated delta net adds to the stream, of its normed input. */
function deltaNet(
  { deltaNet: own, hiddenSize: D, normEps: eps }: ModelConfig,
  h: Numbers,
  w: (name: string) => Numbers,
  { ids_T, cuSeqlens }: Cell,
): Numbers {
  const { keyHeads, valueHeads: N, keyDim, valueDim: B, taps } = own ?? fail();
  const [T, M] = [ids_T.length, N * B];
  const C = 2 * keyHeads * keyDim + M;
  const all = oracle.linear(h, w("qkv"), { T, N: C + M, K: D });
  const x = all.filter((_, i) => i % (C + M) < C);
  const gates = oracle.linear(h, w("deltaGates"), { T, N: 2 * N, K: D });
  const weights = { conv: w("deltaConv"), rate: w("deltaRate"), bias: w("deltaBias") };
  const size = { T, keyHeads, valueHeads: N, keyDim, valueDim: B, taps };
  const o = oracle.gatedDelta({ x, gates, ...weights }, cuSeqlens, size);
  const y = oracle.flat["rmsNorm"]({ x_TD: o, weight_D: w("deltaNorm") }, { T: T * N, D: B, eps });
  const gated = y.map((value, i) => {
    const z = all[Math.floor(i / M) * (C + M) + C + (i % M)];
    return (value * z) / (1 + Math.exp(-z));
  });
  return oracle.linear(gated, w("o"), { T, N: D, K: M });
}

/** The weighted sum of the experts that are chosen for each row of h. */
function routed(
  { hiddenSize: D, experts }: ModelConfig,
  h: Numbers,
  weights: { router: Numbers; gateUp: Numbers; down: Numbers },
): Numbers {
  const { count: E, perToken, intermediateSize: F, isNormalized } = experts ?? fail();
  const y = new Float64Array(h.length);
  for (let at = 0; at < h.length; at += D) {
    const row = h.subarray(at, at + D);
    const z = oracle.linear(row, weights.router, { T: 1, N: E, K: D });
    const exps = z.map(Math.exp);
    const p = exps.map((e) => e / exps.reduce((a, b) => a + b, 0));
    const chosen = Array.from(p.keys())
      .toSorted((a, b) => p[b] - p[a] || a - b)
      .slice(0, perToken);
    const divisor = isNormalized ? chosen.reduce((sum, e) => sum + p[e], 0) : 1;
    for (const e of chosen) {
      const gateUp = oracle.linear(row, weights.gateUp.subarray(e * 2 * F * D, (e + 1) * 2 * F * D), {
        T: 1,
        N: 2 * F,
        K: D,
      });
      const s = oracle.flat["swiglu"]({ gateUp }, { T: 1, F });
      const out = oracle.linear(s, weights.down.subarray(e * D * F, (e + 1) * D * F), { T: 1, N: D, K: F });
      for (const [i, value] of out.entries()) y[at + i] += (p[e] / divisor) * value;
    }
  }
  return y;
}

function fail(): never {
  throw new Error("no experts");
}

/** Rows whose first columns are under norms: each of its weight and how many columns it is for, several times over if it is shorter. */
function normed(x: Numbers, columns: number, norms: readonly (readonly [Numbers, number])[], eps: number): Numbers {
  const y = x.slice();
  for (let row = 0; row < x.length; row += columns) {
    let at = row;
    for (const [weight_D, count] of norms) {
      const D = weight_D.length;
      const part = oracle.flat["rmsNorm"]({ x_TD: x.slice(at, at + count), weight_D }, { T: count / D, D, eps });
      y.set(part, at);
      at += count;
    }
  }
  return y;
}

/** Angle of pair `pair` of a head at token t, and what its cosine and sine are multiplied by. */
function rotation(
  { headDim, rotaryDim: r = headDim, ropeTheta, ropeScaling }: ModelConfig,
  cell: Cell,
  t: number,
  pair: number,
): [number, number] {
  if (pair >= r / 2) return [0, 1];
  const plain = cell.positions_T[t] / ropeTheta ** ((2 * pair) / r);
  if (ropeScaling.type === "linear") return [plain / ropeScaling.factor, 1];
  if (ropeScaling.type !== "longrope") return [plain, 1];
  const end = cell.cuSeqlens.find((at) => at > t) ?? 0;
  const isLong = cell.positions_T[end - 1] + 1 > ropeScaling.originalContext;
  const factors = isLong ? ropeScaling.longFactors : ropeScaling.shortFactors;
  return [plain / factors[pair], ropeScaling.attentionFactor];
}

const add = (a: Numbers, b: Numbers): Numbers => a.map((value, i) => value + b[i]);
