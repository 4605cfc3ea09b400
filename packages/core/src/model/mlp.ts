/**
 * The feed-forward block of one layer: y = x1 + down(activation(gateUp(norm(x)))), x being x1 or the layer's input; or the same with
 * experts in its middle (experts.ts). Shape suffixes: engine.ts.
 */
import type { DeviceArray } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import { expertsBackward, expertsForward, type SavedExperts } from "./experts.ts";
import type { Pass } from "./pass.ts";
import { enter, enterBackward, join, leave, leaveBackward, type SavedOutput } from "./sublayer.ts";

/** What its backward needs. */
export interface SavedMlp {
  readonly mlpInput_TD: DeviceArray;
  readonly mlpStats: DeviceArray | undefined;
  /** Of one MLP, or of the experts. */
  readonly inner: { readonly gateUp: DeviceArray } | SavedExperts;
  /** What came out of the projection, if a norm follows. */
  readonly output: SavedOutput | undefined;
}

/** Takes over `x_TD`: it ends in `saved`. */
export function mlpForward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  { x_TD, x1_TD }: { x_TD: DeviceArray; x1_TD: DeviceArray },
  { size: { T }, order }: Pass,
): { y_TD: DeviceArray; saved: SavedMlp } {
  const { hiddenSize: D, intermediateSize: F, experts } = config;
  const { h_TD, stats } = enter(engine, x_TD, layer.mlpNorm, { T, D });
  const kept = { mlpInput_TD: x_TD, mlpStats: stats };
  if (experts && layer.router) {
    const { y_TD: out_TD, saved } = expertsForward(engine, { ...layer, router: layer.router }, h_TD, { T, D }, experts);
    if (h_TD !== x_TD) engine.free(h_TD);
    const { y_TD, saved: output } = join(engine, out_TD, x1_TD, layer.mlpOutput, { T, D });
    return { y_TD, saved: { ...kept, inner: saved, output } };
  }
  const gateUp = engine.linear(h_TD, layer.gateUp, { T, bias: layer.gateUpBias, order });
  if (h_TD !== x_TD) engine.free(h_TD);
  const s_TF = engine[architecture.activation](gateUp, { T, F });
  const to = { x_TD: x1_TD, weight: layer.down, bias: layer.downBias, order };
  const { y_TD, saved: output } = leave(engine, s_TF, to, layer.mlpOutput, { T, D });
  engine.free(s_TF);
  return { y_TD, saved: { ...kept, inner: { gateUp }, output } };
}

/** Gradient of its input, with that of what it is added to. */
export function mlpBackward(
  model: DecoderModel,
  layer: DecoderLayer,
  dy_TD: DeviceArray,
  { mlpInput_TD, mlpStats, inner, output }: SavedMlp,
  { size: { T } }: Pass,
): DeviceArray {
  const { engine, config } = model;
  const size = { T, D: config.hiddenSize };
  const dout_TD = leaveBackward(engine, dy_TD, output, layer.mlpOutput, size);
  const dm_TD = innerBackward(model, layer, dout_TD, inner, size);
  if (dout_TD !== dy_TD) engine.free(dout_TD);
  const input = { x_TD: mlpInput_TD, stats: mlpStats, residual_TD: dy_TD };
  const dx_TD = enterBackward(engine, dm_TD, input, layer.mlpNorm, size);
  engine.free(dm_TD);
  return dx_TD;
}

/** Gradient of what the norm gave. */
function innerBackward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  dout_TD: DeviceArray,
  inner: SavedMlp["inner"],
  { T, D }: { T: number; D: number },
): DeviceArray {
  const { intermediateSize: F, experts } = config;
  if ("routing" in inner) {
    if (!experts || !layer.router) throw new RangeError("Cannot run backward of experts: the layer has no router");
    return expertsBackward(engine, { ...layer, router: layer.router }, dout_TD, inner, { T, D }, experts);
  }
  const { gateUp } = inner;
  const ds_TF = engine.linearBackward(dout_TD, layer.down, { T });
  const dgateUp = engine[`${architecture.activation}Backward` as const](ds_TF, gateUp, { T, F });
  const dm_TD = engine.linearBackward(dgateUp, layer.gateUp, { T });
  engine.free(ds_TF, dgateUp);
  return dm_TD;
}

/** The arrays that it saved, its input included. */
export function mlpArrays({ mlpInput_TD, mlpStats, inner, output }: SavedMlp): (DeviceArray | undefined)[] {
  const own = "routing" in inner ? [inner.weight_P, inner.gateUp_P2F] : [inner.gateUp];
  return [mlpInput_TD, mlpStats, ...own, output?.out_TD, output?.outStats];
}
