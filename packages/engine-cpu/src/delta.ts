/** The gated delta rule: sizes, weights and offsets to the binary, in its order. */
import {
  type DeltaOperations,
  type DeltaSize,
  type DeltaWeights,
  deltaStateLength,
  deltaWidths,
  type KvCache,
} from "@zerogate/core/engine";
import type { Addon, NativeEngine, Operations } from "./addon.ts";
import type { CpuArray } from "./arrays.ts";
import { handle, weightOf } from "./handles.ts";

interface CpuState extends KvCache {
  readonly handle: number;
}

const none = { states: [], starts: new Int32Array() };

export function deltaNets(
  run: Operations & Pick<Addon, "take">,
  engine: NativeEngine,
  take: (length: number) => CpuArray,
): Required<DeltaOperations> {
  const common = (
    { T, keyHeads, valueHeads, keyDim, valueDim, taps }: DeltaSize,
    { conv_CL, rate_N, bias_N }: DeltaWeights,
    cuSeqlens: Int32Array,
  ) => {
    const weights = [conv_CL, rate_N, bias_N].flatMap(weightOf);
    return [T, keyHeads, valueHeads, keyDim, valueDim, taps, ...weights, cuSeqlens];
  };
  return {
    gatedDelta({ x_TC, gates_T2N }, weights, cuSeqlens, size, past = none) {
      const o = take(size.T * deltaWidths(size).M);
      const states = Float64Array.from(past.states as readonly CpuState[], (state) => state.handle);
      const inputs = [o.handle, handle(x_TC), handle(gates_T2N), past.starts, states];
      run.gatedDelta(engine, ...common(size, weights, cuSeqlens), ...inputs);
      return o;
    },
    gatedDeltaBackward({ do_TM, x_TC, gates_T2N }, weights, cuSeqlens, size) {
      const [dx_TC, dgates_T2N] = [take(x_TC.length), take(gates_T2N.length)];
      const arrays = [dx_TC.handle, dgates_T2N.handle, handle(do_TM), handle(x_TC), handle(gates_T2N)];
      run.gatedDeltaBackward(engine, ...common(size, weights, cuSeqlens), ...arrays);
      return { dx_TC, dgates_T2N };
    },
    deltaState: (size): CpuState => ({ capacity: 1, handle: run.take(engine, deltaStateLength(size)) }),
  };
}
