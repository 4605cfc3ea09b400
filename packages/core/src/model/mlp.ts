/**
 * The feed-forward block of one layer: y = x1 + down(activation(gateUp(norm(x)))), x being x1 or the layer's input; or the same with
 * experts in its middle (experts.ts). Shape suffixes: engine.ts.
 */
import type { DeviceArray } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import { expertsBackward, expertsForward, type SavedExperts } from "./experts.ts";
import type { Pass } from "./pass.ts";
import { enter, enterBackward, join, leave, leaveBackward, type SavedOutput, type SavedTuned } from "./sublayer.ts";
import { type LayerTuning, type LayerTuningGradient, type MapGradient, tune, tuneBackward } from "./tuned.ts";

/** What its backward needs. */
export interface SavedMlp {
  readonly mlpInput_TD: DeviceArray;
  readonly mlpStats: DeviceArray | undefined;
  /** Of one MLP, or of the experts. */
  readonly inner: SavedUnits | SavedExperts;
  /** What came out of the projection, if a norm or tuned vectors follow. */
  readonly output: SavedOutput | SavedTuned | undefined;
}

interface SavedUnits {
  readonly gateUp: DeviceArray;
  /** What the map gave, if tuned vectors follow. */
  readonly u_TN: DeviceArray | undefined;
}

/** Takes over `x_TD`: it ends in `saved`. */
export function mlpForward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  { x_TD, x1_TD }: { x_TD: DeviceArray; x1_TD: DeviceArray },
  { size: { T }, order }: Pass,
  tuned?: LayerTuning,
): { y_TD: DeviceArray; saved: SavedMlp } {
  const { hiddenSize: D, intermediateSize: F, experts } = config;
  const { h_TD, stats } = enter(engine, x_TD, layer.mlpNorm, { T, D }, tuned?.mlpNorm);
  const kept = { mlpInput_TD: x_TD, mlpStats: stats };
  if (experts && layer.router) {
    const { y_TD: out_TD, saved } = expertsForward(engine, { ...layer, router: layer.router }, h_TD, { T, D }, experts);
    if (h_TD !== x_TD) engine.free(h_TD);
    const { y_TD, saved: output } = join(engine, out_TD, x1_TD, layer.mlpOutput, { T, D });
    return { y_TD, saved: { ...kept, inner: saved, output } };
  }
  const product = engine.linear(h_TD, layer.gateUp, { T, bias: layer.gateUpBias, order });
  const gateUp = tuned?.gateUp ? tune(engine, product, tuned.gateUp) : product;
  if (h_TD !== x_TD) engine.free(h_TD);
  const s_TF = engine[architecture.activation](gateUp, { T, F });
  const to = { x_TD: x1_TD, weight: layer.down, bias: layer.downBias, order };
  const { y_TD, saved: output } = leave(engine, s_TF, to, layer.mlpOutput, { T, D }, tuned?.down);
  engine.free(s_TF);
  const u_TN = tuned?.gateUp && product;
  return { y_TD, saved: { ...kept, inner: { gateUp, u_TN }, output } };
}

/** Gradient of its input, with that of what it is added to, and of what is tuned. */
export function mlpBackward(
  model: DecoderModel,
  layer: DecoderLayer,
  dy_TD: DeviceArray,
  { mlpInput_TD, mlpStats, inner, output }: SavedMlp,
  { size: { T } }: Pass,
  tuned?: LayerTuning,
): { dx_TD: DeviceArray; tuning: LayerTuningGradient } {
  const { engine, config } = model;
  const size = { T, D: config.hiddenSize };
  const { dout_TD, vectors: down } = leaveBackward(engine, dy_TD, output, layer.mlpOutput, size, tuned?.down);
  const { dm_TD, gateUp } = innerBackward(model, layer, dout_TD, inner, size, tuned);
  if (dout_TD !== dy_TD) engine.free(dout_TD);
  const input = { x_TD: mlpInput_TD, stats: mlpStats, residual_TD: dy_TD };
  const { dx_TD, dweight_SD: mlpNorm } = enterBackward(engine, dm_TD, input, layer.mlpNorm, size, tuned?.mlpNorm);
  engine.free(dm_TD);
  return { dx_TD, tuning: { gateUp, down, mlpNorm } };
}

/** Gradient of what the norm gave, and of tuned vectors. */
function innerBackward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  dout_TD: DeviceArray,
  inner: SavedMlp["inner"],
  { T, D }: { T: number; D: number },
  tuned: LayerTuning | undefined,
): { dm_TD: DeviceArray; gateUp: MapGradient | undefined } {
  const { intermediateSize: F, experts } = config;
  if ("routing" in inner) {
    if (!experts || !layer.router) throw new RangeError("Cannot run backward of experts: the layer has no router");
    const dm_TD = expertsBackward(engine, { ...layer, router: layer.router }, dout_TD, inner, { T, D }, experts);
    return { dm_TD, gateUp: undefined };
  }
  const { gateUp, u_TN } = inner;
  const ds_TF = engine.linearBackward(dout_TD, layer.down, { T });
  const dgateUp = engine[`${architecture.activation}Backward` as const](ds_TF, gateUp, { T, F });
  const { du_TN, ...vectors } =
    u_TN && tuned?.gateUp ? tuneBackward(engine, dgateUp, u_TN, tuned.gateUp) : { du_TN: dgateUp };
  const dm_TD = engine.linearBackward(du_TN, layer.gateUp, { T });
  engine.free(ds_TF, ...new Set([dgateUp, du_TN]));
  return { dm_TD, gateUp: "dscale_SN" in vectors ? vectors : undefined };
}

/** The arrays that it saved, its input included. */
export function mlpArrays({ mlpInput_TD, mlpStats, inner, output }: SavedMlp): (DeviceArray | undefined)[] {
  const own = "routing" in inner ? [inner.weight_P, inner.gateUp_P2F] : [inner.gateUp, inner.u_TN];
  return [mlpInput_TD, mlpStats, ...own, ...Object.values<DeviceArray>({ ...output })];
}
