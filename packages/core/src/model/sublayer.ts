/**
 * How attention and MLP take their input from the stream and add their output to it. Most bases norm the input alone:
 * x + f(norm(x)). Gemma 2 and 3 norm the output as well, OLMo 2 and 3 the output alone, Granite multiplies it:
 *
 *   x + r · outNorm(f(norm(x)))
 */
import type { DeviceArray, Engine, LinearOrder, Matrix } from "../engine/engine.ts";
import { type Norm, normBackward, normForward } from "./norm.ts";

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

type Size = { readonly T: number; readonly D: number };

/** The block's input, normed; `x_TD` itself if there is no norm. */
export function enter(
  engine: Engine,
  x_TD: DeviceArray,
  norm: Norm | undefined,
  size: Size,
): { h_TD: DeviceArray; stats: DeviceArray | undefined } {
  if (!norm) return { h_TD: x_TD, stats: undefined };
  const { y_TD, stats } = normForward(engine, x_TD, norm, size);
  return { h_TD: y_TD, stats };
}

/** Gradient of the input, with `residual_TD` added. */
export function enterBackward(
  engine: Engine,
  dh_TD: DeviceArray,
  { x_TD, stats, residual_TD }: { x_TD: DeviceArray; stats: DeviceArray | undefined; residual_TD: DeviceArray },
  norm: Norm | undefined,
  size: Size,
): DeviceArray {
  if (!norm || !stats) return engine.addScaled(residual_TD, dh_TD, { ...size, factor: 1 });
  return normBackward(engine, { dy_TD: dh_TD, x_TD, stats, residual_TD }, norm, size);
}

/** Projects the block's output and adds it to the stream. */
export function leave(
  engine: Engine,
  from: DeviceArray,
  { x_TD, weight, bias, order }: { x_TD: DeviceArray; weight: Matrix; bias: Matrix | undefined; order: LinearOrder },
  { outNorm, scale }: OutputTraits,
  { T, D }: Size,
): { y_TD: DeviceArray; saved: SavedOutput | undefined } {
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

/** Gradient of what the projection gave; `dy_TD` itself if nothing is special about it. */
export function leaveBackward(
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
