/** The frozen base on an engine: a decoder; `families/` and `config.ts` say how the supported ones differ. */
import type { DeltaWeights, Engine, Matrix } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { widen } from "../formats/dtype.ts";
import { isScaled } from "../formats/scaled.ts";
import type { DeltaConfig, ModelConfig } from "./config.ts";
import { architectureOf } from "./families/families.ts";
import type { Architecture } from "./families/family.ts";
import type { Norm } from "./norm.ts";
import type { QkNorm } from "./qk_norm.ts";
import { angleTable } from "./rope_angles.ts";
import type { OutputTraits } from "./sublayer.ts";
import { type LayerWeight, matrixOf, type WeightImage, weightNames, weightOf } from "./weights.ts";

/** The frozen weights of one layer, where the engine holds them. */
export interface DecoderLayer {
  readonly attnNorm: Norm | undefined;
  readonly attnOutput: OutputTraits;
  /** A gated delta net in place of attention: `qkv` and `o` are its projections then. */
  readonly delta: DeltaNet | undefined;
  readonly qkv: Matrix;
  readonly qkvBias: Matrix | undefined;
  readonly qkNorm: QkNorm | undefined;
  readonly o: Matrix;
  readonly oBias: Matrix | undefined;
  /** `[2, D]`: nothing, and the output bias, for adapters that add it twice. */
  readonly oBiasTable: Matrix | undefined;
  readonly mlpNorm: Norm | undefined;
  readonly mlpOutput: OutputTraits;
  /** Chooses the experts of a token, whose maps are then stacked in `gateUp` and `down`. */
  readonly router: Matrix | undefined;
  readonly gateUp: Matrix;
  readonly gateUpBias: Matrix | undefined;
  readonly down: Matrix;
  readonly downBias: Matrix | undefined;
  /** Tokens back that a query sees, itself included; 0 = all. */
  readonly window: number;
  /** How queries and keys are rotated by their positions, if they are. */
  readonly rotation: Rotation | undefined;
}

/** The frozen weights of a gated delta net beside its two projections. */
export interface DeltaNet extends DeltaWeights {
  readonly config: DeltaConfig;
  /** `[2·N, D]`: b of all value heads, then a. */
  readonly gates: Matrix;
  readonly outNorm: Norm;
}

/** The rotation of all layers, or that of layers with a window. */
export type Rotation = "common" | "sliding";

/** The frozen base on one engine. */
export interface DecoderModel {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly architecture: Architecture;
  readonly embed: Matrix;
  /** Learned positions `[contextLength, D]`, if the model has them. */
  readonly positions: Matrix | undefined;
  /** Returns rotary angles of at least these positions, a row each, if they are the same in every sequence. */
  readonly angles: Readonly<Record<Rotation, ((positions_T: Int32Array) => Matrix) | undefined>>;
  readonly layers: readonly DecoderLayer[];
  readonly finalNorm: Norm;
  readonly head: Matrix;
}

/**
 * Puts the weights of a base on an engine.
 *
 * @param image holds the weights of `config`, as `loadWeights` of `/node` reads them.
 * @throws RangeError if the image lacks a weight that the config asks for.
 * @throws InputError if the engine lacks what this base needs.
 * @example
 * const engine = createReferenceEngine();
 * const image = await loadWeights("models/base", config, { weightDtypes: engine.weightDtypes });
 * const base = createModel(engine, config, image);
 */
export function createModel(engine: Engine, config: ModelConfig, image: WeightImage): DecoderModel {
  checkAbilities(engine, config);
  const optional = (name: string) => matrixOf(engine, image, name);
  const required = (name: string) => {
    const weight = optional(name);
    if (!weight) throw new RangeError(`Cannot build the model: the weight image has no "${name}"`);
    return weight;
  };
  const architecture = architectureOf(config);
  const rmsNorm = (name: string): Norm => ({ weight: required(name), bias: undefined, eps: config.normEps });
  const norm = (name: string, biasName: string): Norm => ({
    weight: required(name),
    bias: architecture.norm === "layer" ? required(biasName) : undefined,
    eps: config.normEps,
  });
  const { outputNorms, residualScale = 1 } = config;
  const entryNorm = (name: string, biasName: string) =>
    outputNorms === "after-only" ? undefined : norm(name, biasName);
  const output = (name: string): OutputTraits => ({
    outNorm: outputNorms && rmsNorm(name),
    scale: residualScale,
  });
  const { slidingWindow, slidingLayers, unrotatedLayers = [] } = config;
  const isSliding = (i: number) => slidingLayers === undefined || slidingLayers.includes(i);
  const rotationOf = (i: number): Rotation | undefined => {
    if (architecture.positions !== "rotary" || unrotatedLayers.includes(i)) return undefined;
    return config.slidingRope && slidingWindow > 0 && isSliding(i) ? "sliding" : "common";
  };
  const isDelta = (i: number) => config.deltaNet?.layers.includes(i) ?? false;
  const embed = required(weightNames.embed);
  return {
    engine,
    config,
    architecture,
    embed,
    positions: architecture.positions === "learned" ? required(weightNames.positions) : undefined,
    angles: {
      common: architecture.positions === "rotary" ? angleTable(engine, config) : undefined,
      sliding: config.slidingRope && angleTable(engine, { ...config, ...config.slidingRope }),
    },
    layers: Array.from({ length: config.layers }, (_, i) => {
      const name = (weight: LayerWeight) => weightNames.layer(i, weight);
      return {
        attnNorm: entryNorm(name("attnNorm"), name("attnNormBias")),
        attnOutput: output(name("attnOutNorm")),
        delta: isDelta(i) ? deltaOf(config, (weight) => required(name(weight))) : undefined,
        qkv: required(name("qkv")),
        qkvBias: optional(name("qkvBias")),
        qkNorm:
          config.qkNorm && !isDelta(i) ? { queries: rmsNorm(name("qNorm")), keys: rmsNorm(name("kNorm")) } : undefined,
        o: required(name("o")),
        oBias: optional(name("oBias")),
        oBiasTable: biasTable(engine, image, name("oBias")),
        mlpNorm: entryNorm(name("mlpNorm"), name("mlpNormBias")),
        mlpOutput: output(name("mlpOutNorm")),
        router: optional(name("router")),
        gateUp: required(name("gateUp")),
        gateUpBias: optional(name("gateUpBias")),
        down: required(name("down")),
        downBias: optional(name("downBias")),
        window: isSliding(i) ? slidingWindow : 0,
        rotation: rotationOf(i),
      };
    }),
    finalNorm: norm(weightNames.finalNorm, weightNames.finalNormBias),
    head: config.tiedEmbeddings ? embed : required(weightNames.head),
  };
}

function deltaOf(
  { deltaNet, normEps: eps }: ModelConfig,
  weightOfLayer: (weight: LayerWeight) => Matrix,
): DeltaNet | undefined {
  return (
    deltaNet && {
      config: deltaNet,
      gates: weightOfLayer("deltaGates"),
      conv_CL: weightOfLayer("deltaConv"),
      rate_N: weightOfLayer("deltaRate"),
      bias_N: weightOfLayer("deltaBias"),
      outNorm: { weight: weightOfLayer("deltaNorm"), bias: undefined, eps },
    }
  );
}

/** `[2, D]`: nothing, and the bias; undefined if there is none. */
function biasTable(engine: Engine, image: WeightImage, name: string): Matrix | undefined {
  const tensor = weightOf(image, name);
  if (!tensor || isScaled(tensor.dtype)) return undefined; // no bias is
  const [D] = tensor.shape;
  const rows = new Float32Array(2 * D);
  widen(tensor.dtype, tensor.bytes, rows.subarray(D));
  return engine.matrix({ dtype: "f32", shape: [2, D], bytes: new Uint8Array(rows.buffer) });
}

/** Engines that others write may lack what came later than they. */
function checkAbilities(engine: Engine, { modelType, scoreCap, logitCap, experts, deltaNet }: ModelConfig): void {
  const problems: string[] = [];
  if ((scoreCap !== undefined || logitCap !== undefined) && !engine.softCaps) {
    const found = "its scores and logits are under soft caps, which this engine does not know (softCaps)";
    problems.push(`${found}: use another engine`);
  }
  if (experts && !(engine.readNow && engine.groupedLinear && engine.groupedLinearBackward)) {
    const found = "a router chooses its experts, for which this engine lacks readNow, groupedLinear and its backward";
    problems.push(`${found}: use another engine`);
  }
  if (deltaNet && !(engine.gatedDelta && engine.gatedDeltaBackward && engine.deltaState)) {
    const found = "it has gated delta nets, for which this engine lacks gatedDelta, its backward and deltaState";
    problems.push(`${found}: use another engine`);
  }
  if (problems.length > 0) {
    throw new InputError(`Cannot compute a ${modelType} base on the engine ${engine.name}`, problems);
  }
}
