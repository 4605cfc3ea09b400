/**
 * A pre-norm decoder over packed tokens, one function per block, forward and hand-derived backward; `architecture.ts` says
 * how the supported ones differ. Shape suffixes: engine.ts. Nothing is parked on the model: what backward needs is returned
 * by forward and handed back.
 */
import type { AttentionSize, DeviceArray, Engine, Matrix, RowRange } from "../engine/engine.ts";
import { widen } from "../formats/dtype.ts";
import { type Architecture, architectureOf } from "./architecture.ts";
import type { ModelConfig } from "./config.ts";
import { type Norm, normBackward, normForward } from "./norm.ts";
import { addBiasAgain, addPrompts, attendWithPrompts, type LayerPrompt, type TokenPrompts } from "./prompts.ts";
import { type LayerWeight, matrixOf, type WeightImage, weightNames, weightOf } from "./weights.ts";

export interface DecoderLayer {
  readonly attnNorm: Norm;
  readonly qkv: Matrix;
  readonly qkvBias: Matrix | undefined;
  readonly o: Matrix;
  readonly oBias: Matrix | undefined;
  /** `[2, D]`: nothing, and the output bias, for adapters that add it twice. */
  readonly oBiasTable: Matrix | undefined;
  readonly mlpNorm: Norm;
  readonly gateUp: Matrix;
  readonly gateUpBias: Matrix | undefined;
  readonly down: Matrix;
  readonly downBias: Matrix | undefined;
  /** Tokens back that a query sees, itself included; 0 = all. */
  readonly window: number;
}

/** The frozen base on one engine. */
export interface DecoderModel {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly architecture: Architecture;
  readonly embed: Matrix;
  /** Learned positions `[contextLength, D]`, where the model has them. */
  readonly positions: Matrix | undefined;
  readonly layers: readonly DecoderLayer[];
  readonly finalNorm: Norm;
  readonly head: Matrix;
}

/** Puts the weights on the engine. Throws a `RangeError` where the image lacks a weight that the config asks for. */
export function createModel(engine: Engine, config: ModelConfig, image: WeightImage): DecoderModel {
  const optional = (name: string) => matrixOf(engine, image, name);
  const required = (name: string) => {
    const weight = optional(name);
    if (!weight) throw new RangeError(`Cannot build the model: the weight image has no "${name}"`);
    return weight;
  };
  const biasTable = (name: string) => {
    const tensor = weightOf(image, name);
    if (!tensor || tensor.dtype === "i8" || tensor.dtype === "f8") return undefined; // no bias is
    const [D] = tensor.shape;
    const rows = new Float32Array(2 * D);
    widen(tensor.dtype, tensor.bytes, rows.subarray(D));
    return engine.matrix({ dtype: "f32", shape: [2, D], bytes: new Uint8Array(rows.buffer) });
  };
  const architecture = architectureOf(config);
  const norm = (name: string, biasName: string): Norm => ({
    weight: required(name),
    bias: architecture.norm === "layer" ? required(biasName) : undefined,
    eps: config.normEps,
  });
  const { slidingWindow, slidingLayers } = config;
  const embed = required(weightNames.embed);
  return {
    engine,
    config,
    architecture,
    embed,
    positions: architecture.positions === "learned" ? required(weightNames.positions) : undefined,
    layers: Array.from({ length: config.layers }, (_, i) => {
      const name = (weight: LayerWeight) => weightNames.layer(i, weight);
      return {
        attnNorm: norm(name("attnNorm"), name("attnNormBias")),
        qkv: required(name("qkv")),
        qkvBias: optional(name("qkvBias")),
        o: required(name("o")),
        oBias: optional(name("oBias")),
        oBiasTable: biasTable(name("oBias")),
        mlpNorm: norm(name("mlpNorm"), name("mlpNormBias")),
        gateUp: required(name("gateUp")),
        gateUpBias: optional(name("gateUpBias")),
        down: required(name("down")),
        downBias: optional(name("downBias")),
        window: slidingLayers === undefined || slidingLayers.includes(i) ? slidingWindow : 0,
      };
    }),
    finalNorm: norm(weightNames.finalNorm, weightNames.finalNormBias),
    head: config.tiedEmbeddings ? embed : required(weightNames.head),
  };
}

/** What the layers of one pass share. */
export interface Pass {
  readonly cuSeqlens: Int32Array;
  /** None where positions are learned. */
  readonly cosSin_Td: DeviceArray | undefined;
  /** The window is each layer's own. */
  readonly size: Omit<AttentionSize, "window">;
}

/** What backward of one layer needs. */
export interface SavedLayer {
  readonly x_TD: DeviceArray;
  readonly attnStats: DeviceArray;
  readonly qkv_TX: DeviceArray;
  readonly o_TQ: DeviceArray;
  /** Whether `o_TQ` has what the prompts add: the engine made both at once. */
  readonly isAdapted: boolean;
  readonly lse_TH: DeviceArray | undefined;
  readonly x1_TD: DeviceArray;
  readonly mlpStats: DeviceArray;
  readonly gateUp: DeviceArray;
}

/** How a layer attends: over the packed tokens alone, or over a KV cache as well. */
export type Attend = (
  qkv_TX: DeviceArray,
  size: AttentionSize,
) => { o_TQ: DeviceArray; lse_TH: DeviceArray | undefined };

/** The key and value rows of the merged projection. */
const kvRows = ({ config }: DecoderModel, layer: DecoderLayer): RowRange => [
  config.heads * config.headDim,
  layer.qkv.rows,
];

/** Keys and values of the prompts: projected like hidden states, never rotated (a prompt has no position). */
export function promptKv(model: DecoderModel, layer: DecoderLayer, prompt_KD: DeviceArray, K: number): DeviceArray {
  return model.engine.linear(prompt_KD, layer.qkv, { T: K, rows: kvRows(model, layer), bias: layer.qkvBias });
}

/** Layer i: x + attention(norm(x)) + mlp(norm(·)). Takes over `x_TD`: it ends in `saved` (the caller frees that). */
export function layerForward(
  model: DecoderModel,
  i: number,
  x_TD: DeviceArray,
  pass: Pass,
  prompts: readonly TokenPrompts[],
  attend?: Attend,
): { y_TD: DeviceArray; saved: SavedLayer } {
  const { engine, config, architecture } = model;
  const layer = model.layers[i];
  const { T } = pass.size;
  const { hiddenSize: D, intermediateSize: F } = config;
  const size = { ...pass.size, window: layer.window };
  const joinPrompts = (at: Architecture["promptsJoin"], x: DeviceArray) =>
    architecture.promptsJoin === at ? addPrompts(engine, i, x, qkv_TX, prompts, size) : x;

  const h = normForward(engine, x_TD, layer.attnNorm, { T, D });
  const qkv_TX = engine.linear(h.y_TD, layer.qkv, { T, bias: layer.qkvBias });
  engine.free(h.y_TD);
  if (pass.cosSin_Td) engine.rope(qkv_TX, pass.cosSin_Td, size);
  const both =
    attend || architecture.promptsJoin !== "before-output"
      ? undefined
      : attendWithPrompts(engine, i, qkv_TX, pass.cuSeqlens, prompts, size);
  const alone = attend ?? (() => engine.attention(qkv_TX, pass.cuSeqlens, size));
  const { o_TQ, lse_TH } = both ? { o_TQ: both.y_TQ, lse_TH: both.lse_TH } : alone(qkv_TX, size);
  const adapted_TQ = both ? o_TQ : joinPrompts("before-output", o_TQ);
  const attended_TD = engine.linear(adapted_TQ, layer.o, { T, bias: layer.oBias, residual: x_TD });
  if (adapted_TQ !== o_TQ) engine.free(adapted_TQ);
  const joined_TD = joinPrompts("after-output", attended_TD);
  if (joined_TD !== attended_TD) engine.free(attended_TD);
  const x1_TD = layer.oBiasTable ? addBiasAgain(engine, i, joined_TD, layer.oBiasTable, prompts, T) : joined_TD;
  if (x1_TD !== joined_TD) engine.free(joined_TD);

  const m = normForward(engine, x1_TD, layer.mlpNorm, { T, D });
  const gateUp = engine.linear(m.y_TD, layer.gateUp, { T, bias: layer.gateUpBias });
  engine.free(m.y_TD);
  const s_TF = engine[architecture.activation](gateUp, { T, F });
  const y_TD = engine.linear(s_TF, layer.down, { T, bias: layer.downBias, residual: x1_TD });
  engine.free(s_TF);
  const attention = { attnStats: h.stats, qkv_TX, o_TQ, isAdapted: both !== undefined, lse_TH };
  return { y_TD, saved: { x_TD, ...attention, x1_TD, mlpStats: m.stats, gateUp } };
}

/** Frees all that a layer saved, its input included. */
export function freeSaved(engine: Engine, { isAdapted: _flag, ...arrays }: SavedLayer): void {
  engine.free(...Object.values(arrays));
}

/** Gradients of one adapted layer; `dgate_H` is that of the effective gate. No `dx_TD` for the lowest adapted layer. */
export interface LayerGradient {
  readonly dprompt_KD: DeviceArray;
  readonly dgate_H: DeviceArray;
  readonly dx_TD: DeviceArray | undefined;
}

/** Backward of attention and its prompts, which joined it where `djoined` is the gradient. */
function attentionBackward(
  engine: Engine,
  { do_TQ, djoined, withInput }: { do_TQ: DeviceArray; djoined: DeviceArray; withInput: boolean },
  { qkv_TX, o_TQ, lse_TH, isAdapted }: SavedLayer,
  { kv_KY, gate_H, K }: LayerPrompt,
  cuSeqlens: Int32Array,
  size: AttentionSize,
): { dqkv_TX: DeviceArray | undefined; dkv_KY: DeviceArray; dgate_H: DeviceArray } {
  if (!lse_TH) throw new RangeError("Cannot run backward of a layer that attended over a cache");
  if (isAdapted) {
    const input = { do_TQ, qkv_TX, y_TQ: o_TQ, lse_TH, kv_KY, gate_H };
    const both = engine.promptedAttentionBackward?.(input, cuSeqlens, { ...size, K, withInput });
    if (!both)
      throw new RangeError(`Cannot run backward of attention: ${engine.name} has its forward with prompts only`);
    return both;
  }
  const dqkv_TX = withInput ? engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cuSeqlens, size) : undefined;
  const input = { do_TQ: djoined, qkv_TX, kv_KY, gate_H, ...(dqkv_TX && { dqkv_TX }) };
  return { dqkv_TX, ...engine.promptAttentionBackward(input, { ...size, K }) };
}

/** Backward of one adapted layer (spec §3.3). Frees `dy_TD` and `saved`. Below the lowest layer nothing needs a gradient. */
export function layerBackward(
  model: DecoderModel,
  layer: DecoderLayer,
  dy_TD: DeviceArray,
  saved: SavedLayer,
  pass: Pass,
  prompt: LayerPrompt,
  isLowest: boolean,
): LayerGradient {
  const { engine, config, architecture } = model;
  const { T } = pass.size;
  const { hiddenSize: D, intermediateSize: F } = config;
  const size = { ...pass.size, window: layer.window };
  const { x_TD, x1_TD } = saved;

  const ds_TF = engine.linearBackward(dy_TD, layer.down, { T });
  const dgateUp = engine[`${architecture.activation}Backward` as const](ds_TF, saved.gateUp, { T, F });
  const dm_TD = engine.linearBackward(dgateUp, layer.gateUp, { T });
  engine.free(ds_TF, dgateUp);
  const mlpInput = { dy_TD: dm_TD, x_TD: x1_TD, stats: saved.mlpStats, residual_TD: dy_TD };
  const dx1_TD = normBackward(engine, mlpInput, layer.mlpNorm, { T, D });
  engine.free(dm_TD, dy_TD);

  const do_TQ = engine.linearBackward(dx1_TD, layer.o, { T });
  const djoined = architecture.promptsJoin === "before-output" ? do_TQ : dx1_TD;
  const gradients = { do_TQ, djoined, withInput: !isLowest };
  const { dqkv_TX, dkv_KY, dgate_H } = attentionBackward(engine, gradients, saved, prompt, pass.cuSeqlens, size);
  const dprompt_KD = engine.linearBackward(dkv_KY, layer.qkv, {
    T: prompt.K,
    rows: kvRows(model, layer),
    toRead: true,
  });
  engine.free(do_TQ, dkv_KY);

  let dx_TD: DeviceArray | undefined;
  if (dqkv_TX) {
    if (pass.cosSin_Td) engine.rope(dqkv_TX, pass.cosSin_Td, { ...size, inverse: true });
    const dh_TD = engine.linearBackward(dqkv_TX, layer.qkv, { T });
    const attnInput = { dy_TD: dh_TD, x_TD, stats: saved.attnStats, residual_TD: dx1_TD };
    dx_TD = normBackward(engine, attnInput, layer.attnNorm, { T, D });
    engine.free(dqkv_TX, dh_TD);
  }
  engine.free(dx1_TD);
  freeSaved(engine, saved);
  return { dprompt_KD, dgate_H, dx_TD };
}
