/** Soft caps (Gemma 2, arXiv:2408.00118 §2): y = cap · tanh(x / cap), which is x near 0 and never beyond ± cap. */
import { checkLengths } from "../shape.ts";

/** Writes `from` under a cap to `to`, which may be the same numbers. */
export function capNumbers(to: Float32Array, from: Float32Array, cap: number): void {
  for (let i = 0; i < from.length; i++) to[i] = cap * Math.tanh(from[i] / cap);
}

export function softCap(
  out: { y_TF: Float32Array },
  { x_TF }: { x_TF: Float32Array },
  { T, F, cap }: { T: number; F: number; cap: number },
): void {
  checkLengths({ x_TF, y_TF: out.y_TF }, { T, F });
  capNumbers(out.y_TF, x_TF, cap);
}
