/**
 * GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2) in its tanh approximation, alone and as a gate (GeGLU, Shazeer 2020,
 * arXiv:2002.05202). transformers calls it `gelu_new` and `gelu_pytorch_tanh`; there, `gelu` is the exact one, a·Φ(a), whose
 * slope is Φ(a) + a·φ(a), and `quick_gelu` of towers is a·σ(1.702a).
 *
 *   gelu(a) = ½·a·(1 + tanh(u)) = a·σ(2u)        u = √(2/π)·(a + 0.044715·a³)
 *   dgelu(a) = σ(2u) + a·σ(2u)·(1 − σ(2u))·2u'        GeGLU over merged rows [a | b]: y = gelu(a)·b
 */
import { checkLengths } from "../shape.ts";

const SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** Of one number; sums of a projection on the host use it too. */
export function gelu(a: number): number {
  return a / (1 + Math.exp(-2 * SCALE * a * (1 + CUBIC * a * a)));
}

/** Its slope. */
export function dgelu(a: number): number {
  const sigmoid = 1 / (1 + Math.exp(-2 * SCALE * a * (1 + CUBIC * a * a)));
  return sigmoid * (1 + a * (1 - sigmoid) * 2 * SCALE * (1 + 3 * CUBIC * a * a));
}

type Size = { T: number; F: number };

export function geluForward(out: { y_TF: Float32Array }, input: { up_TF: Float32Array }, { T, F }: Size): void {
  const { y_TF } = out;
  const { up_TF } = input;
  checkLengths({ up_TF, y_TF }, { T, F });
  for (let i = 0; i < T * F; i++) y_TF[i] = gelu(up_TF[i]);
}

export function geluBackward(
  grad: { dup_TF: Float32Array },
  input: { dy_TF: Float32Array; up_TF: Float32Array },
  { T, F }: Size,
): void {
  const { dup_TF } = grad;
  const { dy_TF, up_TF } = input;
  checkLengths({ dup_TF, dy_TF, up_TF }, { T, F });
  for (let i = 0; i < T * F; i++) dup_TF[i] = dy_TF[i] * dgelu(up_TF[i]);
}

export function gegluForward(out: { y_TF: Float32Array }, input: { gateUp: Float32Array }, { T, F }: Size): void {
  const { y_TF } = out;
  const { gateUp } = input;
  checkLengths({ gateUp }, { T, halves: 2, F });
  checkLengths({ y_TF }, { T, F });
  for (let t = 0; t < T; t++) {
    for (let f = 0, at = 2 * t * F; f < F; f++, at++) y_TF[t * F + f] = gelu(gateUp[at]) * gateUp[at + F];
  }
}

export function gegluBackward(
  grad: { dgateUp: Float32Array },
  input: { dy_TF: Float32Array; gateUp: Float32Array },
  { T, F }: Size,
): void {
  const { dgateUp } = grad;
  const { dy_TF, gateUp } = input;
  checkLengths({ gateUp, dgateUp }, { T, halves: 2, F });
  checkLengths({ dy_TF }, { T, F });
  for (let t = 0; t < T; t++) {
    for (let f = 0, at = 2 * t * F; f < F; f++, at++) {
      const dy = dy_TF[t * F + f];
      dgateUp[at] = dy * gateUp[at + F] * dgelu(gateUp[at]);
      dgateUp[at + F] = dy * gelu(gateUp[at]);
    }
  }
}

/** Of one number, by the error function: a·Φ(a). */
export function geluErf(a: number): number {
  return a * normalDistribution(a);
}

/** Its slope, Φ(a) + a·φ(a). */
export function dgeluErf(a: number): number {
  return normalDistribution(a) + (a * Math.exp(-0.5 * a * a)) / Math.sqrt(2 * Math.PI);
}

/** Φ(a), the normal distribution, to float64: a series of positive terms in the middle, a continued fraction in the tails. */
function normalDistribution(a: number): number {
  const z = Math.abs(a) * Math.SQRT1_2;
  const bell = Math.exp(-z * z) / Math.sqrt(Math.PI);
  if (z < MIDDLE) {
    // erf(z) = 2/√π · exp(−z²) · Σ_n 2ⁿ z²ⁿ⁺¹ / (1·3·…·(2n + 1))
    let term = z;
    let sum = z;
    for (let n = 1; term > sum * 1e-17; n++) sum += term *= (2 * z * z) / (2 * n + 1);
    return 0.5 + Math.sign(a) * bell * sum;
  }
  // erfc(z) = exp(−z²)/√π · 1/(z + ½/(z + 1/(z + 3/2/(z + …))))
  let fraction = z;
  for (let n = FRACTIONS; n > 0; n--) fraction = z + n / 2 / fraction;
  const tail = (0.5 * bell) / fraction;
  return a < 0 ? tail : 1 - tail;
}

const MIDDLE = 2;
const FRACTIONS = 60;

export function geluErfForward(out: { y_TF: Float32Array }, input: { up_TF: Float32Array }, { T, F }: Size): void {
  const { y_TF } = out;
  const { up_TF } = input;
  checkLengths({ up_TF, y_TF }, { T, F });
  for (let i = 0; i < T * F; i++) y_TF[i] = up_TF[i] * normalDistribution(up_TF[i]);
}

export function geluErfBackward(
  grad: { dup_TF: Float32Array },
  input: { dy_TF: Float32Array; up_TF: Float32Array },
  { T, F }: Size,
): void {
  const { dup_TF } = grad;
  const { dy_TF, up_TF } = input;
  checkLengths({ dup_TF, dy_TF, up_TF }, { T, F });
  for (let i = 0; i < T * F; i++) {
    const a = up_TF[i];
    const density = Math.exp(-0.5 * a * a) / Math.sqrt(2 * Math.PI);
    dup_TF[i] = dy_TF[i] * (normalDistribution(a) + a * density);
  }
}

export function geluQuickForward(out: { y_TF: Float32Array }, input: { up_TF: Float32Array }, { T, F }: Size): void {
  const { y_TF } = out;
  const { up_TF } = input;
  checkLengths({ up_TF, y_TF }, { T, F });
  for (let i = 0; i < T * F; i++) y_TF[i] = up_TF[i] / (1 + Math.exp(-1.702 * up_TF[i]));
}
