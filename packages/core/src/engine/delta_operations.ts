/** What bases with gated delta nets and gates on attention ask of an engine (Qwen 3.5). One without delta nets refuses them. */
import type { DeltaInput, DeltaPast, DeltaSize, DeltaWeights, DeviceArray, KvCache } from "./arrays.ts";

/** Operations of a gated delta net; all of them, or none. */
export interface DeltaOperations {
  /** The memory of one sequence in one gated delta net; lives until `freeCache`. */
  deltaState?(size: DeltaSize): KvCache;
  /**
   * Gated delta rule behind a short causal convolution, in each sequence (kernels/gated_delta.ts has the formulas): `[T, M]`, M being
   * the numbers of all value heads. With `past`, sequences go on from their states and leave them behind their last token.
   * A sequence has the same bits in any pass, in one piece or in several.
   */
  gatedDelta?(
    input: DeltaInput,
    weights: DeltaWeights,
    cuSeqlens: Int32Array,
    size: DeltaSize,
    past?: DeltaPast,
  ): DeviceArray;
  /** Gradient of its inputs, of sequences without a past. */
  gatedDeltaBackward?(
    input: DeltaInput & { do_TM: DeviceArray },
    weights: DeltaWeights,
    cuSeqlens: Int32Array,
    size: DeltaSize,
  ): { dx_TC: DeviceArray; dgates_T2N: DeviceArray };
}

/** A gate on what attention gives. */
export interface GateOperations {
  /** `σ(gate)·x`. */
  sigmoidGate(x_TF: DeviceArray, gate_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** Gradient of what is gated and of the gate. */
  sigmoidGateBackward(
    input: { dy_TF: DeviceArray; x_TF: DeviceArray; gate_TF: DeviceArray },
    size: { T: number; F: number },
  ): { dx_TF: DeviceArray; dgate_TF: DeviceArray };
}
