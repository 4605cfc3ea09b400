/** The top of a training pass: final norm, head and loss over the labelled tokens. */
import type { Cell } from "../cell/tokens.ts";
import type { DeviceArray, LossCell } from "../engine/engine.ts";
import type { DecoderModel } from "./decoder.ts";
import { normBackward, normForward, normWeightBackward } from "./norm.ts";
import type { TokenPrompts } from "./prompts.ts";
import type { MapGradient } from "./tuned.ts";
import { tunedHeadLoss } from "./tuned_head.ts";
import { topTuning } from "./tuning.ts";

/** The labelled rows of T, and which tokens are adapted how. */
export interface LabelledTop extends Pick<Cell, "rows_R" | "labels_R"> {
  readonly T: number;
  readonly prompts: readonly TokenPrompts[];
}

/** What the top of a pass gives. */
export interface TopLoss<Cells> {
  readonly nll_R: DeviceArray;
  readonly hit_R: DeviceArray;
  readonly dy_TD: Cells extends undefined ? undefined : DeviceArray;
  /** Of the trained weights of the final norm. */
  readonly dweight_SD: DeviceArray | undefined;
  /** Of the vectors of a tuned head. */
  readonly vectors: MapGradient | undefined;
}

/** Final norm, head and loss over the labelled tokens only. Frees `y_TD`; with cells returns its gradient. */
export async function labelledLoss<Cells extends readonly LossCell[] | undefined>(
  model: DecoderModel,
  y_TD: DeviceArray,
  { T, rows_R, labels_R, prompts }: LabelledTop,
  cells: Cells,
): Promise<TopLoss<Cells>> {
  const { engine, config, finalNorm, head } = model;
  const R = rows_R.length;
  const D = config.hiddenSize;
  const x_RD = engine.gatherRows(y_TD, rows_R, { T, D });
  const tuned = topTuning(model, prompts, T, rows_R);
  const norm = normForward(engine, x_RD, finalNorm, { T: R, D }, tuned?.norm);
  const size = { R, D, cap: config.logitCap, ...(cells && { cells }) };
  const loss = tuned?.head
    ? await tunedHeadLoss(model, norm.y_TD, labels_R, cells, tuned.head)
    : { ...engine.headLoss(norm.y_TD, head, labels_R, size), vectors: undefined };
  engine.free(y_TD, norm.y_TD);
  let dy_TD: DeviceArray | undefined;
  let dweight_SD: DeviceArray | undefined;
  if (loss.dy_RD) {
    const input = { dy_TD: loss.dy_RD, x_TD: x_RD, stats: norm.stats };
    dweight_SD = tuned?.norm && normWeightBackward(engine, input, tuned.norm, { T: R, D });
    const dx_RD = normBackward(engine, input, finalNorm, { T: R, D }, tuned?.norm);
    dy_TD = engine.scatterRows(dx_RD, rows_R, { T, D });
    engine.free(loss.dy_RD, dx_RD);
  }
  engine.free(x_RD, norm.stats);
  return {
    nll_R: loss.nll_R,
    hit_R: loss.hit_R,
    dy_TD: dy_TD as TopLoss<Cells>["dy_TD"],
    dweight_SD,
    vectors: loss.vectors,
  };
}
