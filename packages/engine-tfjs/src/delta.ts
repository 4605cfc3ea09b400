/**
 * The gated delta rule, which goes from token to token: TensorFlow.js has no operation for that, and one for each token is slower than
 * core's plain one on the host. Numbers are read and brought back, which WebGPU cannot do without waiting.
 */
import {
  checkDelta,
  type DeltaOperations,
  type DeltaSize,
  type DeltaWeights,
  deltaStateLength,
  deltaWidths,
  type Engine,
  gatedDeltaBackward,
  gatedDeltaForward,
  type KvCache,
  type Matrix,
} from "@zerogate/core/engine";
import type { Arrays, TfjsArray } from "./arrays.ts";
import type { Backend, Tensor } from "./tf.ts";

interface TfjsState extends KvCache {
  readonly numbers: Float32Array;
}

export function deltaNets(
  { tf }: Backend,
  { compute, own }: Arrays,
  readNow: NonNullable<Engine["readNow"]>,
  tensorOf: (matrix: Matrix) => Tensor,
): Required<DeltaOperations> {
  const bring = (values: Float32Array): TfjsArray => own(compute(() => tf.tensor1d(values)));
  const held = (matrix: Matrix) => tensorOf(matrix).dataSync() as Float32Array;
  const inputOf = ({ conv_CL, rate_N, bias_N }: DeltaWeights, cuSeqlens: Int32Array) => {
    return { conv_CL: held(conv_CL), rate_N: held(rate_N), bias_N: held(bias_N), cuSeqlens };
  };
  return {
    gatedDelta(input, weights, cuSeqlens, size, past) {
      checkDelta("gatedDelta", { input, weights, cuSeqlens }, size);
      const o_TM = new Float32Array(size.T * deltaWidths(size).M);
      const arrays = { x_TC: readNow(input.x_TC), gates_T2N: readNow(input.gates_T2N) };
      const states = (past?.states as readonly TfjsState[] | undefined)?.map(({ numbers }) => numbers);
      const kept = past && states ? { states, starts: past.starts } : {};
      gatedDeltaForward({ o_TM }, { ...arrays, ...inputOf(weights, cuSeqlens), ...kept }, size);
      return bring(o_TM);
    },
    gatedDeltaBackward(input, weights, cuSeqlens, size) {
      checkDelta("gatedDeltaBackward", { input, weights, cuSeqlens }, size);
      const { do_TM, x_TC, gates_T2N } = input;
      const grad = { dx_TC: new Float32Array(x_TC.length), dgates_T2N: new Float32Array(gates_T2N.length) };
      const arrays = { do_TM: readNow(do_TM), x_TC: readNow(x_TC), gates_T2N: readNow(gates_T2N) };
      gatedDeltaBackward(grad, { ...arrays, ...inputOf(weights, cuSeqlens) }, size);
      return { dx_TC: bring(grad.dx_TC), dgates_T2N: bring(grad.dgates_T2N) };
    },
    deltaState: (size: DeltaSize): TfjsState => ({ capacity: 1, numbers: new Float32Array(deltaStateLength(size)) }),
  };
}
