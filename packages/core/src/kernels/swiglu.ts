/**
 * SwiGLU (Shazeer 2020, arXiv:2002.05202): y = silu(a)·b over merged rows `[a | b]`, silu(a) = a·σ(a).
 * dsilu(a) = σ(a)·(1 + a·(1 − σ(a))).
 */
import { checkLengths } from "../shape.ts";

export function swigluForward(
  out: { y_TF: Float32Array },
  input: { gateUp: Float32Array },
  { T, F }: { T: number; F: number },
): void {
  const { y_TF } = out;
  const { gateUp } = input;
  checkLengths({ gateUp }, { T, halves: 2, F });
  checkLengths({ y_TF }, { T, F });
  for (let t = 0; t < T; t++) {
    for (let f = 0, at = 2 * t * F; f < F; f++, at++) {
      const a = gateUp[at];
      y_TF[t * F + f] = (a / (1 + Math.exp(-a))) * gateUp[at + F];
    }
  }
}

export function swigluBackward(
  grad: { dgateUp: Float32Array },
  input: { dy_TF: Float32Array; gateUp: Float32Array },
  { T, F }: { T: number; F: number },
): void {
  const { dgateUp } = grad;
  const { dy_TF, gateUp } = input;
  checkLengths({ gateUp, dgateUp }, { T, halves: 2, F });
  checkLengths({ dy_TF }, { T, F });
  for (let t = 0; t < T; t++) {
    for (let f = 0, at = 2 * t * F; f < F; f++, at++) {
      const a = gateUp[at];
      const sigmoid = 1 / (1 + Math.exp(-a));
      const dy = dy_TF[t * F + f];
      dgateUp[at] = dy * gateUp[at + F] * sigmoid * (1 + a * (1 - sigmoid));
      dgateUp[at + F] = dy * a * sigmoid;
    }
  }
}
