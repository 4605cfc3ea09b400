/** A causal convolution of L taps in each of C channels, in one sequence: c_t = Σ_i conv_i · x_{t−L+1+i}. */

interface Convolution {
  readonly x: Float32Array;
  /** The L − 1 rows before the sequence; zeros if undefined. */
  readonly before: Float32Array | undefined;
  readonly conv_CL: Float32Array;
  readonly C: number;
  readonly L: number;
}

/** One channel of token t. */
export function convolved({ x, before, conv_CL, C, L }: Convolution, t: number, c: number): number {
  let sum = 0;
  for (let tap = 0; tap < L; tap++) {
    const from = t - L + 1 + tap;
    sum += conv_CL[c * L + tap] * (from >= 0 ? x[from * C + c] : (before?.[(L - 1 + from) * C + c] ?? 0));
  }
  return sum;
}

/** Gradient of x for u = silu(conv * x), given that of u, in one sequence. */
export function convolutionBackward(
  dx: Float32Array,
  x: Float32Array,
  conv_CL: Float32Array,
  du: Float64Array,
  C: number,
  L: number,
): void {
  const T = x.length / C;
  for (let c = 0; c < C; c++) {
    const dsum = new Float64Array(T);
    for (let t = 0; t < T; t++) {
      const sum = convolved({ x, before: undefined, conv_CL, C, L }, t, c);
      const slope = sigmoid(sum);
      dsum[t] = du[t * C + c] * slope * (1 + sum * (1 - slope));
    }
    for (let t = 0; t < T; t++) {
      let sum = 0;
      for (let tap = 0; tap < L && t + L - 1 - tap >= 0; tap++) {
        const to = t + L - 1 - tap;
        if (to < T) sum += conv_CL[c * L + tap] * dsum[to];
      }
      dx[t * C + c] = sum;
    }
  }
}

/** The last rows of x, for the convolution of the next token; earlier ones move up. */
export function keepInputs(kept: Float32Array, x: Float32Array, isContinued: boolean): void {
  if (!isContinued) kept.fill(0);
  const more = Math.min(kept.length, x.length);
  kept.copyWithin(0, more);
  kept.set(x.subarray(x.length - more), kept.length - more);
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
