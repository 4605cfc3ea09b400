/** Groups of rows with parts of a weight: the binary goes from group to group. */
import { type Engine, rowGroups } from "@zerogate/core/engine";
import type { NativeEngine, Operations } from "./addon.ts";
import type { CpuArray } from "./arrays.ts";
import { handle, weightOf } from "./handles.ts";

export function grouped(
  run: Operations,
  engine: NativeEngine,
  take: (length: number) => CpuArray,
): Required<Pick<Engine, "groupedLinear" | "groupedLinearBackward">> {
  return {
    groupedLinear(x, weight, bounds) {
      const { P, N } = rowGroups("groupedLinear", weight, bounds);
      const y = take(P * N);
      run.groupedLinear(engine, bounds, ...weightOf(weight), y.handle, handle(x));
      return y;
    },
    groupedLinearBackward(dy, weight, bounds) {
      const { P } = rowGroups("groupedLinearBackward", weight, bounds);
      const dx = take(P * weight.columns);
      run.groupedLinearBackward(engine, bounds, ...weightOf(weight), dx.handle, handle(dy));
      return dx;
    },
  };
}
