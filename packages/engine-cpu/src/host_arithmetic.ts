/** What core computes on the host whatever the engine, natively: order-independent sums, linear maps in float64. The bits are core's. */
import type { Engine } from "@zerogate/core/engine";
import { type Addon, chooseLevel, loadAddon, type NativeEngine } from "./addon.ts";

type HostArithmetic = Required<Pick<Engine, "addFixedPoint" | "wideLinear" | "wideLinearBackward">>;

/** The three operations on one engine of the binary. */
export function hostArithmetic(addon: Addon, engine: NativeEngine): HostArithmetic {
  return {
    addFixedPoint: (sum, gradient, limit = 512) => addon.addFixedPoint(engine, sum, gradient, limit),
    wideLinear(x_TK, { weight, bias }, { T, N, K }) {
      const y_TN = new Float64Array(T * N);
      addon.wideLinear(engine, T, N, K, y_TN, x_TK, weight, bias);
      return y_TN;
    },
    wideLinearBackward(sums, { dy_TN, x_TK, weight }, { T, N, K }) {
      const dx_TK = new Float64Array(T * K);
      addon.wideLinearBackward(engine, T, N, K, dx_TK, sums.weight, sums.bias, dy_TN, x_TK, weight);
      return dx_TK;
    },
  };
}

let own: HostArithmetic | undefined;

/** Those of an engine of its own, with one thread: for engines that have none. */
function alone(): HostArithmetic {
  const { addon } = loadAddon();
  return (own ??= hostArithmetic(addon, addon.open(chooseLevel(addon), 1, false)));
}

/**
 * Adds `gradient` to the int64 sums (2 words each, low word first) in units of 2⁻⁴⁸. A number that is not finite or whose
 * magnitude is not below `limit` (at most 512) adds 0; returns how many there were. Throws a RangeError if lengths differ.
 */
export const addFixedPoint: HostArithmetic["addFixedPoint"] = (...args) => alone().addFixedPoint(...args);

/** Returns `x·Wᵀ + b` in float64. Throws a RangeError if lengths and sizes differ. */
export const wideLinear: HostArithmetic["wideLinear"] = (...args) => alone().wideLinear(...args);

/** Returns `dy·W`, and adds the gradients of weight and bias to `sums`. Throws a RangeError if lengths and sizes differ. */
export const wideLinearBackward: HostArithmetic["wideLinearBackward"] = (...args) =>
  alone().wideLinearBackward(...args);
