/**
 * How attention and MLP take their input from the stream and add their output to it. Most bases norm the input alone:
 * x + f(norm(x)). Gemma 2 and 3 norm the output as well, OLMo 2 and 3 the output alone, Granite multiplies it:
 *
 *   x + r · outNorm(f(norm(x)))
 */
import type { DeviceArray, Engine, LinearOrder, Matrix } from "../engine/engine.ts";
import { type Norm, normBackward, normForward, normWeightBackward } from "./norm.ts";
import { type MapGradient, type TunedMap, type TunedNorm, tune, tuneBackward } from "./tuned.ts";

/** What is special about the output of one block; mostly nothing. */
export interface OutputTraits {
  readonly outNorm: Norm | undefined;
  /** r. */
  readonly scale: number;
}

/** What backward of an output under a norm needs. */
export interface SavedOutput {
  readonly out_TD: DeviceArray;
  readonly outStats: DeviceArray;
}

/** What the backward of tuned vectors needs: what the map gave. */
export interface SavedTuned {
  readonly u_TN: DeviceArray;
}

type Size = { readonly T: number; readonly D: number };

/** The block's input, normed; `x_TD` itself if there is no norm. */
export function enter(
  engine: Engine,
  x_TD: DeviceArray,
  norm: Norm | undefined,
  size: Size,
  tuned?: TunedNorm,
): { h_TD: DeviceArray; stats: DeviceArray | undefined } {
  if (!norm) return { h_TD: x_TD, stats: undefined };
  const { y_TD, stats } = normForward(engine, x_TD, norm, size, tuned);
  return { h_TD: y_TD, stats };
}

/** Gradient of the input, with `residual_TD` added, and of trained weights of the norm. */
export function enterBackward(
  engine: Engine,
  dh_TD: DeviceArray,
  { x_TD, stats, residual_TD }: { x_TD: DeviceArray; stats: DeviceArray | undefined; residual_TD: DeviceArray },
  norm: Norm | undefined,
  size: Size,
  tuned?: TunedNorm,
): { dx_TD: DeviceArray; dweight_SD: DeviceArray | undefined } {
  if (!norm || !stats) {
    return { dx_TD: engine.addScaled(residual_TD, dh_TD, { ...size, factor: 1 }), dweight_SD: undefined };
  }
  const input = { dy_TD: dh_TD, x_TD, stats };
  const dweight_SD = tuned && normWeightBackward(engine, input, tuned, size);
  return { dx_TD: normBackward(engine, { ...input, residual_TD }, norm, size, tuned), dweight_SD };
}

/** Projects the block's output and adds it to the stream. */
export function leave(
  engine: Engine,
  from: DeviceArray,
  { x_TD, weight, bias, order }: { x_TD: DeviceArray; weight: Matrix; bias: Matrix | undefined; order: LinearOrder },
  { outNorm, scale }: OutputTraits,
  { T, D }: Size,
  tuned?: TunedMap,
): { y_TD: DeviceArray; saved: SavedOutput | SavedTuned | undefined } {
  if (tuned) {
    // Not in fewer bits, so that tokens without vectors have the sum that they have without others.
    const u_TN = engine.linear(from, weight, { T, bias, order, toRead: true });
    return { y_TD: tune(engine, u_TN, tuned, x_TD), saved: { u_TN } };
  }
  if (!outNorm && scale === 1) {
    return { y_TD: engine.linear(from, weight, { T, bias, residual: x_TD, order }), saved: undefined };
  }
  return join(engine, engine.linear(from, weight, { T, bias, order }), x_TD, { outNorm, scale }, { T, D });
}

/** Adds the block's output to the stream. Takes over `out_TD`. */
export function join(
  engine: Engine,
  out_TD: DeviceArray,
  x_TD: DeviceArray,
  { outNorm, scale }: OutputTraits,
  { T, D }: Size,
): { y_TD: DeviceArray; saved: SavedOutput | undefined } {
  if (!outNorm) {
    const y_TD = engine.addScaled(x_TD, out_TD, { T, D, factor: scale });
    engine.free(out_TD);
    return { y_TD, saved: undefined };
  }
  const normed = normForward(engine, out_TD, outNorm, { T, D });
  const y_TD = engine.addScaled(x_TD, normed.y_TD, { T, D, factor: scale });
  engine.free(normed.y_TD);
  return { y_TD, saved: { out_TD, outStats: normed.stats } };
}

/** Gradient of what the projection gave, `dy_TD` itself if nothing is special about it, and of tuned vectors. */
export function leaveBackward(
  engine: Engine,
  dy_TD: DeviceArray,
  saved: SavedOutput | SavedTuned | undefined,
  traits: OutputTraits,
  size: Size,
  tuned?: TunedMap,
): { dout_TD: DeviceArray; vectors: MapGradient | undefined } {
  if (!saved || "out_TD" in saved) {
    return { dout_TD: plainBackward(engine, dy_TD, saved, traits, size), vectors: undefined };
  }
  if (!tuned) throw new RangeError("Cannot run an output backward: it was tuned, and its vectors are missing");
  const { du_TN, ...vectors } = tuneBackward(engine, dy_TD, saved.u_TN, tuned);
  return { dout_TD: du_TN, vectors };
}

function plainBackward(
  engine: Engine,
  dy_TD: DeviceArray,
  saved: SavedOutput | undefined,
  { outNorm, scale }: OutputTraits,
  { T, D }: Size,
): DeviceArray {
  // scale · dy = dy + (scale − 1) · dy
  const scaled_TD = scale === 1 ? dy_TD : engine.addScaled(dy_TD, dy_TD, { T, D, factor: scale - 1 });
  if (!outNorm || !saved) return scaled_TD;
  const input = { dy_TD: scaled_TD, x_TD: saved.out_TD, stats: saved.outStats };
  const dout_TD = normBackward(engine, input, outNorm, { T, D });
  if (scaled_TD !== dy_TD) engine.free(scaled_TD);
  return dout_TD;
}
