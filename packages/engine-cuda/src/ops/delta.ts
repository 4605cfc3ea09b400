/** The gated delta rule: kernels/delta.cu, in float32 whatever the inner type is. */
import {
  checkDelta,
  type DeltaSize,
  type DeltaWeights,
  deltaStateLength,
  deltaWidths,
  type Engine,
  type KvCache,
} from "@zerogate/core/engine";
import { STATES, STRIPES, scratchWidths } from "../delta_scratch.ts";
import type { KernelArgument, Launch } from "../kernels.ts";
import { type Runtime, rowwise } from "../runtime.ts";
import { vector } from "../weights.ts";
import type { CudaCache } from "./attention.ts";

const LARGEST_KEY = 256;
const WARPS = 4;
const warps = (count: number): Launch => ({ grid: [Math.ceil(count / WARPS)], block: 32 * WARPS });

export function gatedDelta(
  runtime: Runtime,
  input: Parameters<NonNullable<Engine["gatedDelta"]>>[0],
  weights: DeltaWeights,
  cuSeqlens: Int32Array,
  size: DeltaSize,
  past?: { readonly states: readonly KvCache[]; readonly starts: Int32Array },
): ReturnType<NonNullable<Engine["gatedDelta"]>> {
  const { T, keyHeads: J, valueHeads: N, keyDim: A, valueDim: B, taps: L } = size;
  const { C, M } = deltaWidths(size);
  checkDelta("gatedDelta", { input, weights, cuSeqlens }, size);
  const [conv, rate, bias] = vectorsOf(runtime, weights, size);
  const S = cuSeqlens.length - 1;
  const o_TM = runtime.array(T * M);
  const [u_TC, unit_T2JA] = [runtime.array(T * C), runtime.array(T * 2 * J * A)];
  const [o, u, unit] = [o_TM, u_TC, unit_T2JA].map(runtime.at);
  const states = BigUint64Array.from((past?.states ?? []) as readonly CudaCache[], ({ block }) => block.address);
  runtime.as("f32", [input.x_TC, input.gates_T2N], (x, gates) =>
    runtime.withData([cuSeqlens, ...(past ? [states, past.starts] : [])], (cu, kept, starts) => {
      const run = (name: string, launch: Launch, args: readonly KernelArgument[]) =>
        runtime.run("delta", name, launch, args);
      run("delta_convolve", rowwise(T, C), [u, x, conv, kept, starts, cu, S, C, L]);
      run("delta_units", warps(T * 2 * J), [unit, u, T, J, A, C]);
      const sizes = [cu, S, J, N, A, B, C, L];
      run("delta_forward", warps(S * N * B), [o, unit, u, gates, rate, bias, kept, starts, ...sizes]);
      if (past && L > 1) run("delta_keep", rowwise(S, C), [kept, starts, x, cu, C, L]);
    }),
  );
  runtime.free(u_TC, unit_T2JA);
  return o_TM;
}

export function gatedDeltaBackward(
  runtime: Runtime,
  input: Parameters<NonNullable<Engine["gatedDeltaBackward"]>>[0],
  weights: DeltaWeights,
  cuSeqlens: Int32Array,
  size: DeltaSize,
): ReturnType<NonNullable<Engine["gatedDeltaBackward"]>> {
  const { T, keyHeads: J, valueHeads: N, keyDim: A, valueDim: B, taps: L } = size;
  const { C } = deltaWidths(size);
  checkDelta("gatedDeltaBackward", { input, weights, cuSeqlens }, size);
  const [conv, rate, bias] = vectorsOf(runtime, weights, size);
  const S = cuSeqlens.length - 1;
  const made = { dx_TC: runtime.array(T * C), dgates_T2N: runtime.array(T * 2 * N) };
  const scratch = scratchWidths(size).map((width, i) => runtime.array((T + (i === STATES ? S : 0)) * width));
  const [u = 0n, unit = 0n, du = 0n, dunit = 0n, dgate = 0n, kept = 0n] = scratch.map(runtime.at);
  const [dx, dgates] = [runtime.at(made.dx_TC), runtime.at(made.dgates_T2N)];
  runtime.as("f32", [input.do_TM, input.x_TC, input.gates_T2N], (dO, x, gates) =>
    runtime.withData([cuSeqlens], (cu) => {
      const run = (name: string, launch: Launch, args: readonly KernelArgument[]) =>
        runtime.run("delta", name, launch, args);
      run("delta_convolve", rowwise(T, C), [u, x, conv, undefined, undefined, cu, S, C, L]);
      run("delta_units", warps(T * 2 * J), [unit, u, T, J, A, C]);
      const sums = [dunit, dgate, du, kept, dO, unit, u, gates, rate, bias];
      run("delta_backward", warps(S * N * STRIPES), [...sums, cu, S, T, J, N, A, B, C, STRIPES]);
      run("delta_gates", rowwise(T, N), [dgates, dgate, gates, rate, bias, T, N, STRIPES]);
      run("delta_units_backward", warps(T * 2 * J), [du, dunit, u, T, J, N, A, C, STRIPES]);
      run("delta_silu_backward", rowwise(T, C), [du, x, conv, cu, S, C, L]);
      run("delta_convolve_backward", rowwise(T, C), [dx, du, conv, cu, S, C, L]);
    }),
  );
  runtime.free(...scratch);
  return made;
}

/** The state is float32 too. */
export function deltaState(runtime: Runtime, size: DeltaSize): CudaCache {
  return { capacity: 1, block: runtime.hold(4 * deltaStateLength(size)) };
}

function vectorsOf(runtime: Runtime, { conv_CL, rate_N, bias_N }: DeltaWeights, { keyDim }: DeltaSize): bigint[] {
  if (keyDim > LARGEST_KEY) {
    throw new RangeError(
      `Cannot run gatedDelta with keys of ${keyDim} numbers: at most ${LARGEST_KEY} are possible here`,
    );
  }
  return [conv_CL, rate_N, bias_N].map((weight) => vector(runtime, weight));
}
