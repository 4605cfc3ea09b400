/**
 * The forward pass of a tower, pre-norm; it has no backward.
 *
 *   x = [class; patches·Wpᵀ + bp] + positions, CLIP: x = LN(x)
 *   x = x + Wo·attn(LN x) + bo;   x = x + W2·act(W1·LN x + b1) + b2        attention without mask and rotation, scale 1/√d
 *
 * hidden[0] enters the first layer, hidden[i] leaves layer i, before any final norm. Images are sequences of M tokens, packed.
 */
import type { DeviceArray } from "../../engine/engine.ts";
import { towerTokens } from "./config.ts";
import type { Tower, TowerLayer, TowerMap, TowerNorm } from "./tower.ts";

/** A pass over n images. */
export interface TowerPass {
  readonly n: number;
  readonly M: number;
  /** n · M. */
  readonly T: number;
}

/**
 * Sends `pixels` through the tower. `visit` receives hidden[i] for i = 0, 1, …, which is freed behind it, and stops the pass by
 * `false`. Inside an arena of the tower's engine.
 */
export async function forwardTower(
  tower: Tower,
  pixels: readonly Float32Array[],
  visit: (hidden_TW: DeviceArray, i: number, pass: TowerPass) => Promise<boolean>,
): Promise<void> {
  const { engine, config, layers } = tower;
  const M = towerTokens(config);
  const pass = { n: pixels.length, M, T: pixels.length * M };
  let x_TW = embedImages(tower, pixels, pass);
  for (let i = 0; await visit(x_TW, i, pass); i++) {
    const layer = layers[i];
    if (layer === undefined) break;
    x_TW = layerForward(tower, layer, x_TW, pass);
  }
  engine.free(x_TW);
}

/** Rows of the tokens of each image, from its token `first` on. */
export function tokenRows({ n, M }: TowerPass, first: number, count: number): Int32Array {
  return Int32Array.from({ length: n * count }, (_, i) => Math.floor(i / count) * M + first + (i % count));
}

/** hidden[0] of all images. */
function embedImages(tower: Tower, pixels: readonly Float32Array[], pass: TowerPass): DeviceArray {
  const { engine, config, patches, hasClass } = tower;
  const { imageSize, patchSize, hiddenSize: D } = config;
  const { n, M, T } = pass;
  const count = hasClass ? M - 1 : M;
  const P = 3 * patchSize ** 2;
  const unfolded = new Float32Array(n * count * P);
  for (const [s, one] of pixels.entries()) {
    unfold(unfolded.subarray(s * count * P, (s + 1) * count * P), one, imageSize, patchSize);
  }
  const u = engine.upload(unfolded);
  const e = linear(tower, u, patches, n * count);
  const e_TW = hasClass ? engine.scatterRows(e, tokenRows(pass, 1, count), { T, D }) : e;
  const places = Int32Array.from({ length: T }, (_, t) => t % M);
  const x_TW = engine.embed(tower.positions, places, { residual: e_TW });
  engine.free(u, e, ...(hasClass ? [e_TW] : []));
  if (!tower.preNorm) return x_TW;
  const normed = norm(tower, x_TW, tower.preNorm, T);
  engine.free(x_TW);
  return normed;
}

/** Row r is the patch at (⌊r/g⌋, r mod g); its columns are channel, y, x, as the weight's are. */
function unfold(out: Float32Array, pixels: Float32Array, side: number, p: number): void {
  if (pixels.length !== 3 * side * side) {
    throw new RangeError(
      `Cannot see an image of ${pixels.length} numbers: the tower takes 3 × ${side} × ${side}, positions are not interpolated`,
    );
  }
  const g = side / p;
  let at = 0;
  for (let r = 0; r < g * g; r++) {
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < p; y++, at += p) {
        const from = (c * side + Math.floor(r / g) * p + y) * side + (r % g) * p;
        out.set(pixels.subarray(from, from + p), at);
      }
    }
  }
}

/** Frees `x_TW`. */
function layerForward(tower: Tower, layer: TowerLayer, x_TW: DeviceArray, { n, M, T }: TowerPass): DeviceArray {
  const { engine, config } = tower;
  const { heads: H, hiddenSize } = config;
  const a = norm(tower, x_TW, layer.attnNorm, T);
  const qkv = linear(tower, a, layer.qkv, T);
  const cuSeqlens = Int32Array.from({ length: n + 1 }, (_, s) => s * M);
  const size = { T, H, G: H, d: hiddenSize / H, window: 0, causal: false };
  const { o_TQ, lse_TH } = engine.attention(qkv, cuSeqlens, size);
  const x1 = linear(tower, o_TQ, layer.o, T, x_TW);
  engine.free(a, qkv, o_TQ, lse_TH, x_TW);
  return mlpForward(tower, { ...layer, norm: layer.mlpNorm }, x1, T);
}

/** x + W2·act(W1·LN x + b1) + b2. Frees `x`. */
export function mlpForward(
  tower: Tower,
  maps: { readonly norm: TowerNorm; readonly up: TowerMap; readonly down: TowerMap },
  x: DeviceArray,
  T: number,
): DeviceArray {
  const { engine, config } = tower;
  const m = norm(tower, x, maps.norm, T);
  const up = linear(tower, m, maps.up, T);
  const f = engine[config.activation](up, { T, F: config.intermediateSize });
  const y = linear(tower, f, maps.down, T, x);
  engine.free(m, up, f, x);
  return y;
}

/** The same order of sums for any number of images: a feature does not depend on the batch that it came in. */
export function linear(
  { engine }: Tower,
  x: DeviceArray,
  { weight, bias }: TowerMap,
  T: number,
  residual?: DeviceArray,
): DeviceArray {
  return engine.linear(x, weight, { T, bias, order: "packed", ...(residual && { residual }) });
}

/** LayerNorm over the width. */
export function norm({ engine, config }: Tower, x: DeviceArray, weights: TowerNorm, T: number): DeviceArray {
  const { y_TD, stats_T2 } = engine.layerNorm(x, weights, { T, D: config.hiddenSize, eps: config.normEps });
  engine.free(stats_T2);
  return y_TD;
}
