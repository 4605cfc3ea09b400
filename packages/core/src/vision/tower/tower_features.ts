/** Features of images: the passes of a tower, and what is read from them. */
import type { DeviceArray } from "../../engine/engine.ts";
import type { TowerConfig } from "./config.ts";
import { type Feature, type FeatureNorm, normalizeVector, parseFeatures } from "./features.ts";
import { forwardTower, linear, mlpForward, norm, type TowerPass, tokenRows } from "./forward.ts";
import type { PoolingHead, Tower } from "./tower.ts";

/** Which features are taken, and how many images go at once. */
export interface TowerFeatureOptions {
  /** Names, see `parseFeatures`. */
  readonly features: readonly string[];
  /** @default "layer" */
  readonly featureNorm?: FeatureNorm;
  /** Images of one pass; any number gives the same features. @default 8 */
  readonly batchSize?: number;
}

/** Features of n images, row after row. */
export interface TowerFeatures {
  /** `[n, C]` of vectors, `[n, M, width]` of tokens. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * Computes the features of images. An image's numbers are the same in whatever company.
 *
 * @param pixels of each image: `[3, side, side]`, see `preprocessImage`.
 * @throws InputError on features that this tower has not, RangeError on pixels of another size.
 */
export async function towerFeatures(
  tower: Tower,
  pixels: readonly Float32Array[],
  { features: names, featureNorm = "layer", batchSize = 8 }: TowerFeatureOptions,
): Promise<TowerFeatures> {
  const { features, shape } = parseFeatures(names, tower.config);
  const size = shape.reduce((a, b) => a * b, 1);
  const values = new Float32Array(pixels.length * size);
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot use a batchSize of ${batchSize}: an integer from 1 on is needed`);
  }
  for (let from = 0; from < pixels.length; from += batchSize) {
    const some = pixels.slice(from, from + batchSize);
    await tower.engine.arena(async () => {
      const parts = await passFeatures(tower, some, features);
      place(values.subarray(from * size, (from + some.length) * size), parts, some.length, featureNorm);
    });
  }
  return { shape: [pixels.length, ...shape], values };
}

/**
 * Returns the pixels of the image of zeros: what the authors of LLaMA-Adapter V2 show in place of a missing image.
 *
 * @example
 * zeroImage({ imageSize: 2 }).length; // 12: three colours of 2 × 2
 */
export function zeroImage({ imageSize }: Pick<TowerConfig, "imageSize">): Float32Array {
  return new Float32Array(3 * imageSize ** 2);
}

/** One feature of all images of a pass. */
interface Part {
  readonly feature: Feature;
  readonly values: Float32Array;
}

/** Lays the vectors of each image in a row. */
function place(out: Float32Array, parts: readonly Part[], n: number, featureNorm: FeatureNorm): void {
  const size = out.length / n;
  let at = 0;
  for (const { feature, values } of parts) {
    const own = values.length / n;
    const isVector = feature.kind !== "tokens" && feature.kind !== "projected";
    for (let s = 0; s < n; s++) {
      const vector = out.subarray(s * size + at, s * size + at + own);
      vector.set(values.subarray(s * own, (s + 1) * own));
      if (isVector && featureNorm === "layer") normalizeVector(vector);
    }
    at += own;
  }
}

/** The features in their order, by one pass that ends with the last state that is needed. */
async function passFeatures(tower: Tower, pixels: readonly Float32Array[], features: readonly Feature[]) {
  const found = new Map<Feature, Float32Array>();
  const last = Math.max(...features.map(({ hidden }) => hidden));
  await forwardTower(tower, pixels, async (hidden_TW, i, pass) => {
    for (const feature of features) {
      if (feature.hidden === i) found.set(feature, await readFeature(tower, feature, hidden_TW, pass));
    }
    return i < last;
  });
  return features.map((feature): Part => ({ feature, values: found.get(feature) ?? new Float32Array(0) }));
}

/** Numbers of one feature, image after image. */
async function readFeature(
  tower: Tower,
  { kind, width }: Feature,
  hidden_TW: DeviceArray,
  pass: TowerPass,
): Promise<Float32Array> {
  const { engine, config } = tower;
  const { n, M, T } = pass;
  switch (kind) {
    case "tokens":
      return engine.read(hidden_TW);
    case "mean":
      return meanOfPatches(await engine.read(hidden_TW), { n, M, first: tower.hasClass ? 1 : 0, width });
    case "projected":
      return engine.read(project(tower, tower.finalNorm ? norm(tower, hidden_TW, tower.finalNorm, T) : hidden_TW, T));
    case "cls":
      return engine.read(engine.gatherRows(hidden_TW, tokenRows(pass, 0, 1), { T, D: config.hiddenSize }));
    case "pooled":
      return engine.read(pool(tower, hidden_TW, pass));
    case "embeds":
      return engine.read(project(tower, pool(tower, hidden_TW, pass), n));
  }
}

/** Means in float64, of the tokens that are patches. */
function meanOfPatches(
  hidden: Float32Array,
  { n, M, first, width }: { n: number; M: number; first: number; width: number },
): Float32Array {
  const out = new Float32Array(n * width);
  for (let i = 0; i < out.length; i++) {
    const at = Math.floor(i / width) * M * width + (i % width);
    let sum = 0;
    for (let t = first; t < M; t++) sum += hidden[at + t * width];
    out[i] = sum / (M - first);
  }
  return out;
}

function project(tower: Tower, x: DeviceArray, T: number): DeviceArray {
  if (!tower.projection) throw new RangeError("Cannot project: the tower has no projection");
  return linear(tower, x, { weight: tower.projection, bias: undefined }, T);
}

/** One vector an image: of the class token behind the final norm, or of the pooling head. */
function pool(tower: Tower, hidden_TW: DeviceArray, pass: TowerPass): DeviceArray {
  const { engine, config, finalNorm, head } = tower;
  const size = { T: pass.T, D: config.hiddenSize };
  if (head) return poolTokens(tower, head, finalNorm ? norm(tower, hidden_TW, finalNorm, pass.T) : hidden_TW, pass);
  const cls = engine.gatherRows(hidden_TW, tokenRows(pass, 0, 1), size);
  return finalNorm ? norm(tower, cls, finalNorm, pass.n) : cls;
}

/** The learned query attends to all tokens of its image, which are its prompts; then an MLP with a residual. */
function poolTokens(tower: Tower, head: PoolingHead, tokens_TW: DeviceArray, { n, M, T }: TowerPass): DeviceArray {
  const { engine, config } = tower;
  const { hiddenSize: W, heads: H } = config;
  const probes = new Float32Array(n * W);
  for (let s = 0; s < n; s++) probes.set(head.probe, s * W);
  const qkv_TX = linear(tower, engine.upload(probes), head.qkv, n);
  const { weight, bias } = head.qkv;
  const kv_RY = engine.linear(tokens_TW, weight, { T, rows: [W, 3 * W], bias, order: "packed" });
  const gate_H = new Float32Array(H).fill(1);
  const sets = Array.from({ length: n }, (_, s) => {
    return { kv_RY, rows: [s * M, (s + 1) * M], tokens: [s, s + 1], gate_H } as const;
  });
  const size = { T: n, H, G: H, d: W / H, window: 0 };
  const y = engine.promptAttention(engine.upload(new Float32Array(n * W)), { qkv_TX, sets }, size);
  return mlpForward(tower, head, linear(tower, y, head.o, n), n);
}
