/** A gate: y = σ(g)·x.  dx = σ(g)·dy,  dg = dy·x·σ(g)·(1 − σ(g)). */
import { checkLengths } from "../shape.ts";

export function sigmoidGateForward(
  out: { y_TF: Float32Array },
  input: { x_TF: Float32Array; gate_TF: Float32Array },
  { T, F }: { T: number; F: number },
): void {
  const { y_TF } = out;
  const { x_TF, gate_TF } = input;
  checkLengths({ x_TF, gate_TF, y_TF }, { T, F });
  for (let i = 0; i < y_TF.length; i++) y_TF[i] = x_TF[i] / (1 + Math.exp(-gate_TF[i]));
}

export function sigmoidGateBackward(
  grad: { dx_TF: Float32Array; dgate_TF: Float32Array },
  input: { dy_TF: Float32Array; x_TF: Float32Array; gate_TF: Float32Array },
  { T, F }: { T: number; F: number },
): void {
  const { dx_TF, dgate_TF } = grad;
  const { dy_TF, x_TF, gate_TF } = input;
  checkLengths({ dy_TF, x_TF, gate_TF, dx_TF, dgate_TF }, { T, F });
  for (let i = 0; i < dy_TF.length; i++) {
    const open = 1 / (1 + Math.exp(-gate_TF[i]));
    dx_TF[i] = dy_TF[i] * open;
    dgate_TF[i] = dy_TF[i] * x_TF[i] * open * (1 - open);
  }
}
