/** The gated delta rule over the WebAssembly kernels: same arguments, same checks as native/node/ops_delta.cc. */
import type { Operations } from "./addon.ts";
import { type Arguments, type Define, offsets } from "./wasm_arguments.ts";
import type { WasmMemory } from "./wasm_memory.ts";

export function deltaNets(
  { kernels }: WasmMemory,
  operation: Define,
): Pick<Operations, "gatedDelta" | "gatedDeltaBackward"> {
  return {
    gatedDelta: operation("gatedDelta", (args) => {
      const { T, N, A, C, M, L, sizes, weights, cu } = deltaArguments(args, "gatedDelta");
      const arrays = [
        args.array("o_TM", T * M),
        args.array("x_TC", T * C),
        args.array("gates_T2N", 2 * T * N),
      ] as const;
      const starts = args.ints("starts");
      const S = cu.length - 1;
      if (starts.length !== 0 && starts.length !== S) {
        throw new RangeError(`Cannot run gatedDelta: ${starts.length} states are given for ${S} sequences`);
      }
      const negative = starts.find((start) => start < 0);
      if (negative !== undefined) {
        throw new RangeError(`Cannot run gatedDelta: a sequence starts at ${negative}, 0 or more is needed`);
      }
      const states = Int32Array.from(args.doubles("states", starts.length), (handle) =>
        args.arrayOf("a state", handle, (L - 1) * C + M * A),
      );
      const past = starts.length === 0 ? ([0, 0] as const) : ([args.copy(states), args.copy(starts)] as const);
      return kernels.gatedDelta(...arrays, ...weights, args.copy(cu), S, ...sizes, ...past);
    }),
    gatedDeltaBackward: operation("gatedDeltaBackward", (args) => {
      const { T, N, C, M, sizes, weights, cu } = deltaArguments(args, "gatedDeltaBackward");
      const gradients = [args.array("dx_TC", T * C), args.array("dgates_T2N", 2 * T * N)] as const;
      const arrays = [
        args.array("do_TM", T * M),
        args.array("x_TC", T * C),
        args.array("gates_T2N", 2 * T * N),
      ] as const;
      return kernels.gatedDeltaBackward(...gradients, ...arrays, ...weights, args.copy(cu), cu.length - 1, ...sizes);
    }),
  };
}

/** Sizes, weights and offsets, which both directions begin with. */
function deltaArguments(args: Arguments, name: string) {
  const wrong = (problem: string) => new RangeError(`Cannot run ${name}: ${problem}`);
  const [T, J, N] = [args.size("T", 0), args.size("keyHeads", 1), args.size("valueHeads", 1)];
  const [A, B, L] = [args.size("keyDim", 1), args.size("valueDim", 1), args.size("taps", 1)];
  if (N % J !== 0) throw wrong(`${N} value heads do not share ${J} key heads evenly`);
  const M = N * B;
  const C = 2 * J * A + M;
  const conv = args.weight("conv_CL");
  const [, , rows, columns] = conv;
  if (rows !== C || columns !== L) throw wrong(`conv_CL is ${rows} by ${columns}, ${C} by ${L} is needed`);
  const weights = [...conv, ...args.vector("rate_N", "N", N), ...args.vector("bias_N", "N", N)];
  const cu = offsets(args, name, T);
  return { T, N, A, C, M, L, sizes: [T, J, N, A, B, L], weights, cu };
}
