/**
 * A decoder of the Llama family (Llama 1/2/3, Mistral, TinyLlama, SmolLM) over packed tokens, one function per block,
 * forward and hand-derived backward. Shape suffixes: engine.ts. Nothing is parked on the model: what backward needs is
 * returned by forward and handed back.
 */
import type { AttentionSize, DeviceArray, Engine, Matrix, RowRange } from "../engine/engine.ts";
import type { ModelConfig } from "./config.ts";
import { addPrompts, type LayerPrompt, type TokenPrompts } from "./prompts.ts";
import { type LayerWeight, type WeightImage, weightNames, weightOf } from "./weights.ts";

export interface DecoderLayer {
  readonly attnNorm: Matrix;
  readonly qkv: Matrix;
  readonly qkvBias: Matrix | undefined;
  readonly o: Matrix;
  readonly oBias: Matrix | undefined;
  readonly mlpNorm: Matrix;
  readonly gateUp: Matrix;
  readonly gateUpBias: Matrix | undefined;
  readonly down: Matrix;
  readonly downBias: Matrix | undefined;
}

/** The frozen base on one engine. */
export interface DecoderModel {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly embed: Matrix;
  readonly layers: readonly DecoderLayer[];
  readonly finalNorm: Matrix;
  readonly head: Matrix;
}

/** Puts the weights on the engine. Throws a `RangeError` where the image lacks a weight that the config asks for. */
export function createModel(engine: Engine, config: ModelConfig, image: WeightImage): DecoderModel {
  const optional = (name: string) => {
    const tensor = weightOf(image, name);
    return tensor && engine.matrix(tensor);
  };
  const required = (name: string) => {
    const weight = optional(name);
    if (!weight) throw new RangeError(`Cannot build the model: the weight image has no "${name}"`);
    return weight;
  };
  const embed = required(weightNames.embed);
  return {
    engine,
    config,
    embed,
    layers: Array.from({ length: config.layers }, (_, i) => {
      const name = (weight: LayerWeight) => weightNames.layer(i, weight);
      return {
        attnNorm: required(name("attnNorm")),
        qkv: required(name("qkv")),
        qkvBias: optional(name("qkvBias")),
        o: required(name("o")),
        oBias: optional(name("oBias")),
        mlpNorm: required(name("mlpNorm")),
        gateUp: required(name("gateUp")),
        gateUpBias: optional(name("gateUpBias")),
        down: required(name("down")),
        downBias: optional(name("downBias")),
      };
    }),
    finalNorm: required(weightNames.finalNorm),
    head: config.tiedEmbeddings ? embed : required(weightNames.head),
  };
}

/** What the layers of one pass share. */
export interface Pass {
  readonly cuSeqlens: Int32Array;
  readonly cosSin_Td: DeviceArray;
  readonly size: AttentionSize;
}

/** What backward of one layer needs. */
export interface SavedLayer {
  readonly x_TD: DeviceArray;
  readonly attnRstd_T: DeviceArray;
  readonly qkv_TX: DeviceArray;
  readonly o_TQ: DeviceArray;
  readonly lse_TH: DeviceArray | undefined;
  readonly x1_TD: DeviceArray;
  readonly mlpRstd_T: DeviceArray;
  readonly gateUp: DeviceArray;
}

/** How a layer attends: over the packed tokens alone, or over a KV cache as well. */
export type Attend = (qkv_TX: DeviceArray) => { o_TQ: DeviceArray; lse_TH: DeviceArray | undefined };

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
  attend: Attend = (qkv_TX) => model.engine.attention(qkv_TX, pass.cuSeqlens, pass.size),
): { y_TD: DeviceArray; saved: SavedLayer } {
  const { engine, config } = model;
  const layer = model.layers[i];
  const { T } = pass.size;
  const norm = { T, D: config.hiddenSize, eps: config.rmsNormEps };

  const h = engine.rmsNorm(x_TD, layer.attnNorm, norm);
  const qkv_TX = engine.linear(h.y_TD, layer.qkv, { T, bias: layer.qkvBias });
  engine.free(h.y_TD);
  engine.rope(qkv_TX, pass.cosSin_Td, pass.size);
  const { o_TQ, lse_TH } = attend(qkv_TX);
  const adapted_TQ = addPrompts(engine, i, o_TQ, qkv_TX, prompts, pass.size);
  const x1_TD = engine.linear(adapted_TQ, layer.o, { T, bias: layer.oBias, residual: x_TD });
  if (adapted_TQ !== o_TQ) engine.free(adapted_TQ);

  const m = engine.rmsNorm(x1_TD, layer.mlpNorm, norm);
  const gateUp = engine.linear(m.y_TD, layer.gateUp, { T, bias: layer.gateUpBias });
  engine.free(m.y_TD);
  const s_TF = engine.swiglu(gateUp, { T, F: config.intermediateSize });
  const y_TD = engine.linear(s_TF, layer.down, { T, bias: layer.downBias, residual: x1_TD });
  engine.free(s_TF);
  const saved = { x_TD, attnRstd_T: h.rstd_T, qkv_TX, o_TQ, lse_TH, x1_TD, mlpRstd_T: m.rstd_T, gateUp };
  return { y_TD, saved };
}

/** Frees all that a layer saved, its input included. */
export function freeSaved(engine: Engine, saved: SavedLayer): void {
  engine.free(...Object.values(saved));
}

/** Gradients of one adapted layer; `dgate_H` is that of the effective gate. No `dx_TD` for the lowest adapted layer. */
export interface LayerGradient {
  readonly dprompt_KD: DeviceArray;
  readonly dgate_H: DeviceArray;
  readonly dx_TD: DeviceArray | undefined;
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
  const { engine, config } = model;
  const { T } = pass.size;
  const { hiddenSize: D, intermediateSize: F } = config;
  const { qkv_TX, o_TQ, lse_TH, x_TD, x1_TD } = saved;
  if (!lse_TH) throw new RangeError("Cannot run backward of a layer that attended over a cache");

  const ds_TF = engine.linearBackward(dy_TD, layer.down, { T });
  const dgateUp = engine.swigluBackward(ds_TF, saved.gateUp, { T, F });
  const dm_TD = engine.linearBackward(dgateUp, layer.gateUp, { T });
  engine.free(ds_TF, dgateUp);
  const dx1_TD = engine.rmsNormBackward(
    { dy_TD: dm_TD, x_TD: x1_TD, weight_D: layer.mlpNorm, rstd_T: saved.mlpRstd_T, residual_TD: dy_TD },
    { T, D },
  );
  engine.free(dm_TD, dy_TD);

  const do_TQ = engine.linearBackward(dx1_TD, layer.o, { T });
  const dqkv_TX = isLowest
    ? undefined
    : engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, pass.cuSeqlens, pass.size);
  const input = { do_TQ, qkv_TX, ...prompt, ...(dqkv_TX && { dqkv_TX }) };
  const { dkv_KY, dgate_H } = engine.promptAttentionBackward(input, { ...pass.size, K: prompt.K });
  const dprompt_KD = engine.linearBackward(dkv_KY, layer.qkv, { T: prompt.K, rows: kvRows(model, layer) });
  engine.free(do_TQ, dkv_KY);

  let dx_TD: DeviceArray | undefined;
  if (dqkv_TX) {
    engine.rope(dqkv_TX, pass.cosSin_Td, { ...pass.size, inverse: true });
    const dh_TD = engine.linearBackward(dqkv_TX, layer.qkv, { T });
    dx_TD = engine.rmsNormBackward(
      { dy_TD: dh_TD, x_TD, weight_D: layer.attnNorm, rstd_T: saved.attnRstd_T, residual_TD: dx1_TD },
      { T, D },
    );
    engine.free(dqkv_TX, dh_TD);
  }
  engine.free(dx1_TD);
  freeSaved(engine, saved);
  return { dprompt_KD, dgate_H, dx_TD };
}
