/** The feed-forward block of one layer: y = x1 + down(activation(gateUp(norm(x)))), x being x1 or the layer's input. Shape suffixes: engine.ts. */
import type { DeviceArray } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import { normBackward, normForward } from "./norm.ts";
import type { Pass } from "./pass.ts";

/** What its backward needs. */
export interface SavedMlp {
  readonly mlpInput_TD: DeviceArray;
  readonly mlpStats: DeviceArray;
  readonly gateUp: DeviceArray;
}

/** Takes over `x_TD`: it ends in `saved`. */
export function mlpForward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  { x_TD, x1_TD }: { x_TD: DeviceArray; x1_TD: DeviceArray },
  { size: { T }, order }: Pass,
): { y_TD: DeviceArray; saved: SavedMlp } {
  const { hiddenSize: D, intermediateSize: F } = config;
  const m = normForward(engine, x_TD, layer.mlpNorm, { T, D });
  const gateUp = engine.linear(m.y_TD, layer.gateUp, { T, bias: layer.gateUpBias, order });
  engine.free(m.y_TD);
  const s_TF = engine[architecture.activation](gateUp, { T, F });
  const y_TD = engine.linear(s_TF, layer.down, { T, bias: layer.downBias, residual: x1_TD, order });
  engine.free(s_TF);
  return { y_TD, saved: { mlpInput_TD: x_TD, mlpStats: m.stats, gateUp } };
}

/** Gradient of its input, with that of what it is added to. */
export function mlpBackward(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  dy_TD: DeviceArray,
  { mlpInput_TD, mlpStats, gateUp }: SavedMlp,
  { size: { T } }: Pass,
): DeviceArray {
  const { hiddenSize: D, intermediateSize: F } = config;
  const ds_TF = engine.linearBackward(dy_TD, layer.down, { T });
  const dgateUp = engine[`${architecture.activation}Backward` as const](ds_TF, gateUp, { T, F });
  const dm_TD = engine.linearBackward(dgateUp, layer.gateUp, { T });
  engine.free(ds_TF, dgateUp);
  const input = { dy_TD: dm_TD, x_TD: mlpInput_TD, stats: mlpStats, residual_TD: dy_TD };
  const dx_TD = normBackward(engine, input, layer.mlpNorm, { T, D });
  engine.free(dm_TD);
  return dx_TD;
}
