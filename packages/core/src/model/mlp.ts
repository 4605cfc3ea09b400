/** The feed-forward block of one layer: y = x1 + down(activation(gateUp(norm(x)))), x being x1 or the layer's input. Shape suffixes: engine.ts. */
import type { DeviceArray } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import type { Pass } from "./pass.ts";
import { enter, enterBackward, leave, leaveBackward, type SavedOutput } from "./sublayer.ts";

/** What its backward needs. */
export interface SavedMlp {
  readonly mlpInput_TD: DeviceArray;
  readonly mlpStats: DeviceArray | undefined;
  readonly gateUp: DeviceArray;
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
  const { hiddenSize: D, intermediateSize: F } = config;
  const { h_TD, stats } = enter(engine, x_TD, layer.mlpNorm, { T, D });
  const gateUp = engine.linear(h_TD, layer.gateUp, { T, bias: layer.gateUpBias, order });
  if (h_TD !== x_TD) engine.free(h_TD);
  const s_TF = engine[architecture.activation](gateUp, { T, F });
  const to = { x_TD: x1_TD, weight: layer.down, bias: layer.downBias, order };
  const { y_TD, saved: output } = leave(engine, s_TF, to, layer.mlpOutput, { T, D });
  engine.free(s_TF);
  return { y_TD, saved: { mlpInput_TD: x_TD, mlpStats: stats, gateUp, output } };
}

/** Gradient of its input, with that of what it is added to. */
export function mlpBackward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  dy_TD: DeviceArray,
  { mlpInput_TD, mlpStats, gateUp, output }: SavedMlp,
  { size: { T } }: Pass,
): DeviceArray {
  const { hiddenSize: D, intermediateSize: F } = config;
  const dout_TD = leaveBackward(engine, dy_TD, output, layer.mlpOutput, { T, D });
  const ds_TF = engine.linearBackward(dout_TD, layer.down, { T });
  if (dout_TD !== dy_TD) engine.free(dout_TD);
  const dgateUp = engine[`${architecture.activation}Backward` as const](ds_TF, gateUp, { T, F });
  const dm_TD = engine.linearBackward(dgateUp, layer.gateUp, { T });
  engine.free(ds_TF, dgateUp);
  const input = { x_TD: mlpInput_TD, stats: mlpStats, residual_TD: dy_TD };
  const dx_TD = enterBackward(engine, dm_TD, input, layer.mlpNorm, { T, D });
  engine.free(dm_TD);
  return dx_TD;
}
