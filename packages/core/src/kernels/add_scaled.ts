/** Adds an array to another: sum = x + factor · y. */
import { checkLengths } from "../shape.ts";

export function addScaled(
  out: { sum_TD: Float32Array },
  { x_TD, y_TD }: { x_TD: Float32Array; y_TD: Float32Array },
  { T, D, factor }: { T: number; D: number; factor: number },
): void {
  const { sum_TD } = out;
  checkLengths({ x_TD, y_TD, sum_TD }, { T, D });
  for (let i = 0; i < T * D; i++) sum_TD[i] = x_TD[i] + factor * y_TD[i];
}
