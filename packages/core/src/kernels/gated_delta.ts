/**
 * Gated delta rule (Yang et al. 2024, arXiv:2412.06464, eq. 10) behind a short causal convolution: what Qwen 3.5 has
 * instead of attention in most layers. For each sequence and value head n, whose key head is ⌊n·J/N⌋:
 *
 *   u_t = silu(Σ_i conv_i · x_{t−L+1+i})      in each channel; what lies before the sequence is 0, or what its state holds
 *   k = u_k / √(|u_k|² + ε)      q = u_q / √((|u_q|² + ε) · A)      v = u_v
 *   β = σ(b)      α = e^g,  g = −e^rate · softplus(a + bias)
 *   m = α·S_{t−1}ᵀ k      δ = β·(v − m)      S_t = α·S_{t−1} + k ⊗ δ      o_t = S_tᵀ q
 *
 * The rows of Sᵀ, one for each number of a value, do not meet: each goes through the sequence by itself. S is rounded to float32 at
 * each token, so that a sequence has the same bits in one piece and in several.
 *
 * J key heads of A numbers, N value heads of B numbers, L taps; C = 2·J·A + N·B channels: queries, keys, values. M = N·B.
 */
import type { DeltaSize } from "../engine/arrays.ts";
import { deltaStateLength, deltaWidths } from "../engine/delta_size.ts";
import { checkLengths } from "../shape.ts";
import { convolutionBackward, convolved, keepInputs } from "./short_convolution.ts";

/** Added to the squared length of keys and queries. */
const EPS = 1e-6;

/** What both directions read. */
export interface DeltaInput {
  readonly x_TC: Float32Array;
  /** b of all value heads, then a. */
  readonly gates_T2N: Float32Array;
  readonly conv_CL: Float32Array;
  readonly rate_N: Float32Array;
  readonly bias_N: Float32Array;
  readonly cuSeqlens: Int32Array;
}

/** The state of each sequence, and how many tokens it has seen: none means that what it holds does not count. */
export interface DeltaStates {
  readonly states: readonly Float32Array[];
  readonly starts: Int32Array;
}

type Rows = Float64Array;

/** Writes `o_TM`; with states, continues them and leaves them as they are behind the last token. */
export function gatedDeltaForward(
  out: { o_TM: Float32Array },
  input: DeltaInput & Partial<DeltaStates>,
  size: DeltaSize,
): void {
  const { valueHeads: N, valueDim: B, keyDim: A } = size;
  const C = checkInput(input, size);
  checkLengths({ o_TM: out.o_TM }, { T: size.T, N, B });
  const { cuSeqlens, states, starts } = input;
  if (states && starts) {
    checkLengths({ states, starts }, { sequences: cuSeqlens.length - 1 });
    for (const state of states) checkLengths({ state }, { numbers: deltaStateLength(size) });
  }
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    const [begin, end] = [cuSeqlens[s], cuSeqlens[s + 1]];
    const state = states?.[s];
    const isContinued = state !== undefined && (starts?.[s] ?? 0) > 0;
    const past = (size.taps - 1) * C;
    const before = isContinued ? state.subarray(0, past) : undefined;
    for (let n = 0; n < N; n++) {
      const head = prepareHead(input, size, { begin, end, n, before });
      const rows = state ? state.subarray(past + n * B * A, past + (n + 1) * B * A) : new Float32Array(B * A);
      if (!isContinued) rows.fill(0);
      for (let j = 0; j < B; j++) {
        const row = rows.subarray(j * A, (j + 1) * A);
        for (let t = 0; t < end - begin; t++) {
          stepRow(row, head, t, j);
          out.o_TM[(begin + t) * N * B + n * B + j] = dot(row, 0, head.q, t * A, A);
        }
      }
    }
    if (state) keepInputs(state.subarray(0, past), input.x_TC.subarray(begin * C, end * C), isContinued);
  }
}

/** Gradients of x and of the gates. The sequences begin at their first token: there is no backward of a continued one. */
export function gatedDeltaBackward(
  grad: { dx_TC: Float32Array; dgates_T2N: Float32Array },
  input: DeltaInput & { do_TM: Float32Array },
  size: DeltaSize,
): void {
  const { valueHeads: N, valueDim: B, keyHeads: J, keyDim: A, taps: L, T } = size;
  const C = checkInput(input, size);
  checkLengths({ do_TM: input.do_TM }, { T, N, B });
  checkLengths({ dx_TC: grad.dx_TC }, { T, C });
  checkLengths({ dgates_T2N: grad.dgates_T2N }, { T, twice: 2, N });
  const { cuSeqlens, rate_N, bias_N, gates_T2N } = input;
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    const [begin, end] = [cuSeqlens[s], cuSeqlens[s + 1]];
    const du_TC = new Float64Array((end - begin) * C);
    for (let n = 0; n < N; n++) {
      const head = prepareHead(input, size, { begin, end, n, before: undefined });
      const dhead = headBackward(head, input.do_TM, { begin, n }, size);
      const key = Math.floor((n * J) / N);
      for (let t = 0; t < end - begin; t++) {
        const [at, gate] = [t * C, (begin + t) * 2 * N];
        normBackward(du_TC, at + key * A, head.uq, dhead.dq, t * A, A, A);
        normBackward(du_TC, at + (J + key) * A, head.uk, dhead.dk, t * A, A, 1);
        for (let j = 0; j < B; j++) du_TC[at + 2 * J * A + n * B + j] = dhead.dv[t * B + j];
        const beta = head.beta[t];
        grad.dgates_T2N[gate + n] = dhead.dbeta[t] * beta * (1 - beta);
        const slope = sigmoid(gates_T2N[gate + N + n] + bias_N[n]);
        grad.dgates_T2N[gate + N + n] = -dhead.dg[t] * Math.exp(rate_N[n]) * slope;
      }
    }
    const x = input.x_TC.subarray(begin * C, end * C);
    convolutionBackward(grad.dx_TC.subarray(begin * C, end * C), x, input.conv_CL, du_TC, C, L);
  }
}

function checkInput({ x_TC, gates_T2N, conv_CL, rate_N, bias_N }: DeltaInput, size: DeltaSize): number {
  const { C } = deltaWidths(size);
  checkLengths({ x_TC }, { T: size.T, C });
  checkLengths({ gates_T2N }, { T: size.T, twice: 2, N: size.valueHeads });
  checkLengths({ conv_CL }, { C, L: size.taps });
  checkLengths({ rate_N, bias_N }, { N: size.valueHeads });
  return C;
}

/** A sequence as one value head sees it: what enters the rule, token by token. */
interface Head {
  /** Behind the convolution, `[T, A]`. */
  readonly uq: Rows;
  readonly uk: Rows;
  /** The same with length 1 and 1/√A, as they enter. */
  readonly q: Rows;
  readonly k: Rows;
  /** `[T, B]`. */
  readonly v: Rows;
  readonly alpha: Rows;
  readonly beta: Rows;
}

interface HeadPlace {
  readonly begin: number;
  readonly end: number;
  readonly n: number;
  /** The rows of x before the first one. */
  readonly before: Float32Array | undefined;
}

function prepareHead(
  { x_TC, gates_T2N, conv_CL, rate_N, bias_N }: DeltaInput,
  size: DeltaSize,
  { begin, end, n, before }: HeadPlace,
): Head {
  const { valueHeads: N, valueDim: B, keyHeads: J, keyDim: A, taps: L } = size;
  const { C } = deltaWidths(size);
  const T = end - begin;
  const key = Math.floor((n * J) / N);
  const x = x_TC.subarray(begin * C, end * C);
  const channels = (first: number, count: number): Rows =>
    Float64Array.from({ length: T * count }, (_, i) => {
      const [t, c] = [Math.floor(i / count), first + (i % count)];
      const sum = convolved({ x, before, conv_CL, C, L }, t, c);
      return sum * sigmoid(sum);
    });
  const [uq, uk] = [channels(key * A, A), channels((J + key) * A, A)];
  const gate = (t: number, which: number) => gates_T2N[(begin + t) * 2 * N + which * N + n];
  return {
    uq,
    uk,
    q: unitRows(uq, A, A),
    k: unitRows(uk, A, 1),
    v: channels(2 * J * A + n * B, B),
    alpha: Float64Array.from({ length: T }, (_, t) =>
      Math.exp(-Math.exp(rate_N[n]) * softplus(gate(t, 1) + bias_N[n])),
    ),
    beta: Float64Array.from({ length: T }, (_, t) => sigmoid(gate(t, 0))),
  };
}

/** One token of row j: `row` becomes α·row + δ·k; returns v − m. */
function stepRow(row: Float32Array, { k, v, alpha, beta }: Head, t: number, j: number): number {
  const A = row.length;
  const B = v.length / alpha.length;
  const miss = v[t * B + j] - alpha[t] * dot(row, 0, k, t * A, A);
  const delta = beta[t] * miss;
  for (let i = 0; i < A; i++) row[i] = alpha[t] * row[i] + delta * k[t * A + i];
  return miss;
}

interface HeadGradient {
  readonly dq: Rows;
  readonly dk: Rows;
  readonly dv: Rows;
  readonly dbeta: Rows;
  /** Of g, the logarithm of α. */
  readonly dg: Rows;
}

/** Runs each row forward, keeping it at every token, and back: d is the gradient of the row behind token t. */
function headBackward(
  head: Head,
  do_TM: Float32Array,
  { begin, n }: { begin: number; n: number },
  { valueHeads: N, valueDim: B, keyDim: A }: DeltaSize,
): HeadGradient {
  const { q, k, alpha, beta } = head;
  const T = alpha.length;
  const zeros = (length: number) => new Float64Array(length);
  const grad = { dq: zeros(T * A), dk: zeros(T * A), dv: zeros(T * B), dbeta: zeros(T), dg: zeros(T) };
  const kept = new Float32Array((T + 1) * A);
  const miss = zeros(T);
  for (let j = 0; j < B; j++) {
    for (let t = 0; t < T; t++) {
      const row = kept.subarray((t + 1) * A, (t + 2) * A);
      row.set(kept.subarray(t * A, (t + 1) * A));
      miss[t] = stepRow(row, head, t, j);
    }
    const d = zeros(A);
    for (let t = T - 1; t >= 0; t--) {
      const [at, past] = [t * A, t * A];
      const dout = do_TM[(begin + t) * N * B + n * B + j];
      for (let i = 0; i < A; i++) {
        d[i] += dout * q[at + i];
        grad.dq[at + i] += dout * kept[at + A + i];
      }
      const ddelta = dot(d, 0, k, at, A);
      const [delta, dm] = [beta[t] * miss[t], -beta[t] * ddelta];
      grad.dbeta[t] += ddelta * miss[t];
      grad.dv[t * B + j] = -dm;
      for (let i = 0; i < A; i++) {
        const decayed = alpha[t] * kept[past + i];
        grad.dk[at + i] += delta * d[i] + dm * decayed;
        d[i] += dm * k[at + i];
        grad.dg[t] += d[i] * decayed;
        d[i] *= alpha[t];
      }
    }
  }
  return grad;
}

/** Adds the gradient of u for y = u / √((|u|² + ε)·divisor):  du = f·(dy − u·(u·dy) / (|u|² + ε)),  f = y / u. */
function normBackward(du: Rows, into: number, u: Rows, dy: Rows, at: number, A: number, divisor: number): void {
  const squares = dot(u, at, u, at, A) + EPS;
  const factor = 1 / Math.sqrt(squares * divisor);
  const share = dot(u, at, dy, at, A) / squares;
  for (let i = 0; i < A; i++) du[into + i] += factor * (dy[at + i] - share * u[at + i]);
}

/** Rows of A numbers, each with length 1/√divisor. */
function unitRows(u: Rows, A: number, divisor: number): Rows {
  const y = u.slice();
  for (let at = 0; at < u.length; at += A) {
    const factor = 1 / Math.sqrt((dot(u, at, u, at, A) + EPS) * divisor);
    for (let i = at; i < at + A; i++) y[i] *= factor;
  }
  return y;
}

type Numbers = Float64Array | Float32Array;
function dot(a: Numbers, aAt: number, b: Numbers, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aAt + i] * b[bAt + i];
  return sum;
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
