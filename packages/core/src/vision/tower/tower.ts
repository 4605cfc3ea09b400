/** A frozen tower on an engine. Shape suffixes: M tokens of an image, T tokens of all images, W width, F feed-forward, H heads. */
import type { Engine, Matrix } from "../../engine/engine.ts";
import { matrixOf, type WeightImage, weightOf } from "../../model/weights.ts";
import { type TowerConfig, towerTokens } from "./config.ts";

/** A linear map and its bias. */
export interface TowerMap {
  readonly weight: Matrix;
  readonly bias: Matrix | undefined;
}

/** LayerNorm's weights, as the engine's method takes them. */
export interface TowerNorm {
  readonly weight_D: Matrix;
  readonly bias_D: Matrix;
}

/** One layer of a tower. */
export interface TowerLayer {
  readonly attnNorm: TowerNorm;
  readonly qkv: TowerMap;
  readonly o: TowerMap;
  readonly mlpNorm: TowerNorm;
  readonly up: TowerMap;
  readonly down: TowerMap;
}

/** The attention that pools tokens: the query is learned. */
export interface PoolingHead {
  readonly probe: Float32Array;
  readonly qkv: TowerMap;
  readonly o: TowerMap;
  readonly norm: TowerNorm;
  readonly up: TowerMap;
  readonly down: TowerMap;
}

/** A frozen tower on one engine. `createTower` makes it. */
export interface Tower {
  readonly engine: Engine;
  readonly config: TowerConfig;
  readonly patches: TowerMap;
  /** `[M, W]`: a position for each patch; in front of them the class token with its own, if there is one. */
  readonly positions: Matrix;
  readonly hasClass: boolean;
  readonly preNorm: TowerNorm | undefined;
  readonly layers: readonly TowerLayer[];
  readonly finalNorm: TowerNorm | undefined;
  readonly projection: Matrix | undefined;
  readonly head: PoolingHead | undefined;
}

/**
 * Puts the weights of a tower on an engine. Throws a `RangeError` if the image lacks one that the config asks for.
 *
 * @param image what `readTower` of `@zerogate/core/node` reads from a folder: f32.
 * @example
 * const { config, image, preprocess } = await readTower("models/clip");
 * const tower = createTower(createReferenceEngine(), config, image);
 * const { values } = await towerFeatures(tower, [preprocessImage(photo, preprocess)], { features: ["pooled"] });
 */
export function createTower(engine: Engine, config: TowerConfig, image: WeightImage): Tower {
  const optional = (name: string) => matrixOf(engine, image, name);
  const required = (name: string) => {
    const weight = optional(name);
    if (!weight) throw new RangeError(`Cannot build the tower: the weight image has no "${name}"`);
    return weight;
  };
  const map = (name: string): TowerMap => ({ weight: required(name), bias: optional(`${name}.bias`) });
  const norm = (name: string): TowerNorm => ({ weight_D: required(name), bias_D: required(`${name}.bias`) });
  const hasClass = "class" in image.places;
  return {
    engine,
    config,
    patches: map("patches"),
    positions: positionsOf(engine, config, image),
    hasClass,
    preNorm: "preNorm" in image.places ? norm("preNorm") : undefined,
    layers: Array.from({ length: config.layers }, (_, i) => ({
      attnNorm: norm(`${i}.attnNorm`),
      qkv: map(`${i}.qkv`),
      o: map(`${i}.o`),
      mlpNorm: norm(`${i}.mlpNorm`),
      up: map(`${i}.up`),
      down: map(`${i}.down`),
    })),
    finalNorm: config.finalNorm ? norm("finalNorm") : undefined,
    projection: optional("projection"),
    head: config.poolingHead
      ? {
          probe: numbersOf(image, "head.probe"),
          qkv: map("head.qkv"),
          o: map("head.o"),
          norm: norm("head.norm"),
          up: map("head.up"),
          down: map("head.down"),
        }
      : undefined,
  };
}

/** The table that is added to an image's tokens, in which a class token lies already. */
function positionsOf(engine: Engine, config: TowerConfig, image: WeightImage): Matrix {
  const [M, W] = [towerTokens(config), config.hiddenSize];
  const table = numbersOf(image, "positions").slice();
  if (table.length !== M * W) {
    throw new RangeError(`Cannot build the tower: expected ${M * W} numbers of positions, got ${table.length}`);
  }
  if ("class" in image.places) for (const [i, x] of numbersOf(image, "class").entries()) table[i] += x;
  return engine.matrix({ dtype: "f32", shape: [M, W], bytes: new Uint8Array(table.buffer) });
}

function numbersOf(image: WeightImage, name: string): Float32Array {
  const tensor = weightOf(image, name);
  if (tensor?.dtype !== "f32") throw new RangeError(`Cannot build the tower: "${name}" is not there in f32`);
  return new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.byteLength / 4);
}
