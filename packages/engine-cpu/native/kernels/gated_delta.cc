// Gated delta rule (Yang et al. 2024, arXiv:2412.06464, eq. 10) behind a short causal convolution; core's kernels/gated_delta.ts
// has the formulas. The rows of Sᵀ do not meet: each is one vector of A numbers, which a step changes in place.
//
// Shape suffixes as there: J key heads of A numbers, N value heads of B, L taps, C channels, M = N·B.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr float DELTA_EPS = 1e-6f;

ZG_INLINE float first(vf v) { return v[0]; }
ZG_INLINE float sigmoid_of(float z) { return first(sigmoid(splat(z))); }
// max(z, 0) + ln(1 + e^−|z|), the latter as 2·artanh(y / (2 + y)) of y ≤ 1.
ZG_INLINE float softplus(float z) {
  const float y = first(exp(splat(z < 0 ? z : -z)));
  const float s = y / (2 + y), ss = s * s;
  float p = 1.0f / 17;
  for (int i = 15; i > 0; i -= 2) p = p * ss + 1.0f / (float)i;
  return (z > 0 ? z : 0) + 2 * s * p;
}

// Both vectors end in zeros up to whole vectors.
ZG_INLINE float padded_dot(const float* a, const float* b, long width) {
  vf sum = {};
  for (long i = 0; i < width; i += VL) sum = fma(load(a + i), load(b + i), sum);
  return total(sum);
}

// What both directions read, and the widths that follow from it.
struct DeltaRun {
  const float *x_TC, *gates_T2N, *conv_CL, *rate_N, *bias_N;
  DeltaSize size;
  long C, width;  // width: A up to whole vectors
};

// One channel of token t behind the convolution and in front of silu; `before` holds the L − 1 rows before the sequence or is null.
ZG_INLINE float convolved(const DeltaRun& r, const float* x, const float* before, long t, long c) {
  const long L = r.size.L;
  float sum = 0;
  for (long tap = 0; tap < L; tap++) {
    const long from = t - L + 1 + tap;
    if (from >= 0) sum += r.conv_CL[c * L + tap] * x[from * r.C + c];
    else if (before) sum += r.conv_CL[c * L + tap] * before[(L - 1 + from) * r.C + c];
  }
  return sum;
}

// silu of `count` channels from `c` on.
static void activated(const DeltaRun& r, const float* x, const float* before, long t, long c, long count, float* u) {
  for (long i = 0; i < count; i++) u[i] = convolved(r, x, before, t, c + i);
  each_vector(count, [&](long i, long n) {
    const vf z = load_n(u + i, n);
    store_n(u + i, z * sigmoid(z), n);
  });
}

// y = u / √((|u|² + ε)·divisor), zeros behind.
ZG_INLINE void to_unit(const float* u, float* y, long width, float divisor) {
  const vf factor = splat(1.0f / __builtin_sqrtf((padded_dot(u, u, width) + DELTA_EPS) * divisor));
  for (long i = 0; i < width; i += VL) store(y + i, load(u + i) * factor);
}

struct DeltaGates {
  float alpha, beta;
};
ZG_INLINE DeltaGates gates_of(const DeltaRun& r, long t, long n) {
  const float* gates = r.gates_T2N + t * 2 * r.size.N;
  const float rate = first(exp(splat(r.rate_N[n])));
  const float alpha = first(exp(splat(-rate * softplus(gates[r.size.N + n] + r.bias_N[n]))));
  return {alpha, sigmoid_of(gates[n])};
}

// row becomes α·row + δ·k; returns v − m.
ZG_INLINE float step_row(float* row, const float* k, float v, DeltaGates gates, long width) {
  const float miss = v - gates.alpha * padded_dot(row, k, width);
  const vf alpha = splat(gates.alpha), delta = splat(gates.beta * miss);
  for (long i = 0; i < width; i += VL) store(row + i, fma(delta, load(k + i), alpha * load(row + i)));
  return miss;
}

// The weights as float32: in scratch that lasts while no other PARTIAL is asked for. Null if memory is lacking.
static bool delta_run(Pool* pool, const float* x_TC, const float* gates_T2N, const Weight& conv, const Weight& rate,
                      const Weight& bias, const DeltaSize& size, DeltaRun* run) {
  const long C = 2 * size.J * size.A + size.N * size.B;
  float* weights = scratch(pool, PARTIAL, C * size.L + 2 * size.N);
  if (!weights) return false;
  float *rates = weights + C * size.L, *biases = rates + size.N;
  widen(weights, conv.data, conv.type, C * size.L);
  widen(rates, rate.data, rate.type, size.N);
  widen(biases, bias.data, bias.type, size.N);
  *run = {x_TC, gates_T2N, weights, rates, biases, size, C, round_up(size.A, (long)VL)};
  return true;
}

// The last L − 1 rows of x, for the convolution of the next token; earlier ones move up.
static void keep_inputs(float* kept, const float* x, long rows, long L, long C, bool isContinued) {
  const long all = L - 1, more = least(all, rows);
  if (!isContinued) memset(kept, 0, 4 * all * C);
  for (long i = 0; more > 0 && i < all - more; i++) memcpy(kept + i * C, kept + (i + more) * C, 4 * C);
  memcpy(kept + (all - more) * C, x + (rows - more) * C, 4 * more * C);
}

static bool gated_delta(Pool* pool, const GatedDelta& a) {
  DeltaRun r;
  if (!delta_run(pool, a.x_TC, a.gates_T2N, a.conv_CL, a.rate_N, a.bias_N, a.size, &r)) return false;
  const auto [T, J, N, A, B, L] = a.size;
  (void)T;
  const long width = r.width, past = (L - 1) * r.C;
  if (!reserve_threads(pool, (B + 2) * width + B)) return false;

  auto job = [&, J = J, N = N, A = A, B = B](long job, int thread) {
    const long s = job / N, n = job % N, begin = a.cuSeqlens[s], end = a.cuSeqlens[s + 1], key = n * J / N;
    const float* x = a.x_TC + begin * r.C;
    float* state = a.states ? a.states[s] : nullptr;
    const bool isContinued = state && a.starts[s] > 0;
    const float* before = isContinued ? state : nullptr;
    float *q = scratch_of(pool, thread), *k = q + width, *v = k + width, *rows = v + B;
    memset(q, 0, 4 * 2 * width);
    memset(rows, 0, 4 * B * width);
    float* kept = state ? state + past + n * B * A : nullptr;
    if (isContinued) for (long j = 0; j < B; j++) memcpy(rows + j * width, kept + j * A, 4 * A);
    for (long t = 0; t < end - begin; t++) {
      activated(r, x, before, t, key * A, A, q);
      activated(r, x, before, t, (J + key) * A, A, k);
      activated(r, x, before, t, 2 * J * A + n * B, B, v);
      to_unit(q, q, width, (float)A);
      to_unit(k, k, width, 1);
      const DeltaGates gates = gates_of(r, begin + t, n);
      float* o = a.o_TM + (begin + t) * N * B + n * B;
      for (long j = 0; j < B; j++) {
        step_row(rows + j * width, k, v[j], gates, width);
        o[j] = padded_dot(rows + j * width, q, width);
      }
    }
    if (kept) for (long j = 0; j < B; j++) memcpy(kept + j * A, rows + j * width, 4 * A);
  };
  parallel(pool, a.S * N, job);
  for (long s = 0; a.states && s < a.S; s++) {
    const long begin = a.cuSeqlens[s];
    keep_inputs(a.states[s], a.x_TC + begin * r.C, a.cuSeqlens[s + 1] - begin, L, r.C, a.starts[s] > 0);
  }
  return true;
}

// Adds the gradient of u for y = u / √((|u|² + ε)·divisor):  du += f·(dy − u·(u·dy) / (|u|² + ε)),  f = y / u.
ZG_INLINE void unit_backward(float* du, const float* u, const float* dy, long width, float divisor) {
  const float squares = padded_dot(u, u, width) + DELTA_EPS, share = padded_dot(u, dy, width) / squares;
  const vf factor = splat(1.0f / __builtin_sqrtf(squares * divisor));
  for (long i = 0; i < width; i += VL) {
    store(du + i, fma(factor, fma(splat(-share), load(u + i), load(dy + i)), load(du + i)));
  }
}

// dx of `count` channels from `c` on, of the gradient of u = silu(conv * x) with `stride` between its tokens, which becomes that of
// the sums in front of silu.
static void convolution_backward(const DeltaRun& r, const float* x, float* dx, float* du, long stride, long T, long c, long count) {
  const long L = r.size.L;
  for (long t = 0; t < T; t++) {
    for (long i = 0; i < count; i++) {
      const float z = convolved(r, x, nullptr, t, c + i), s = sigmoid_of(z);
      du[t * stride + i] *= s * (1 + z * (1 - s));
    }
  }
  for (long t = 0; t < T; t++) {
    for (long i = 0; i < count; i++) {
      float sum = 0;
      for (long tap = L - 1; tap >= 0 && t + L - 1 - tap < T; tap--) {
        sum += r.conv_CL[(c + i) * L + tap] * du[(t + L - 1 - tap) * stride + i];
      }
      dx[t * r.C + c + i] = sum;
    }
  }
}

// One job goes through a sequence for one key head and its value heads, row by row: forward, keeping the row at every token, and back.
static bool gated_delta_backward(Pool* pool, const GatedDeltaBackward& a) {
  DeltaRun r;
  if (!delta_run(pool, a.x_TC, a.gates_T2N, a.conv_CL, a.rate_N, a.bias_N, a.size, &r)) return false;
  const auto [T, J, N, A, B, L] = a.size;
  (void)T, (void)L;
  const long width = r.width, per = N / J, M = N * B;
  long longest = 0;
  for (long s = 0; s < a.S; s++) longest = most(longest, (long)(a.cuSeqlens[s + 1] - a.cuSeqlens[s]));
  // Of each token u, unit and gradients of q and k, v and its gradient, the row, and five numbers; and the row's own gradient.
  if (!reserve_threads(pool, longest * (9 * width + 2 * B + 5) + 2 * width)) return false;

  auto job = [&, J = J, N = N, A = A, B = B](long job, int thread) {
    const long s = job / J, key = job % J, begin = a.cuSeqlens[s], T = a.cuSeqlens[s + 1] - begin;
    const float* x = a.x_TC + begin * r.C;
    float* dx = a.dx_TC + begin * r.C;
    float* at = scratch_of(pool, thread);
    const auto part = [&](long floats) { return (at += floats) - floats; };
    float *uq = part(T * width), *uk = part(T * width), *q = part(T * width), *k = part(T * width);
    float *dq = part(T * width), *dk = part(T * width), *duq = part(T * width), *duk = part(T * width);
    float *kept = part((T + 1) * width), *d = part(width), *v = part(T * B), *dv = part(T * B);
    float *alpha = part(T), *beta = part(T), *miss = part(T), *dbeta = part(T), *dg = part(T);
    memset(uq, 0, 4 * T * width), memset(uk, 0, 4 * T * width);
    memset(duq, 0, 4 * T * width), memset(duk, 0, 4 * T * width);
    memset(kept, 0, 4 * width);
    for (long t = 0; t < T; t++) {
      activated(r, x, nullptr, t, key * A, A, uq + t * width);
      activated(r, x, nullptr, t, (J + key) * A, A, uk + t * width);
      to_unit(uq + t * width, q + t * width, width, (float)A);
      to_unit(uk + t * width, k + t * width, width, 1);
    }
    for (long n = key * per; n < (key + 1) * per; n++) {
      const long values = 2 * J * A + n * B;
      memset(dq, 0, 4 * T * width), memset(dk, 0, 4 * T * width);
      memset(dbeta, 0, 4 * T), memset(dg, 0, 4 * T);
      for (long t = 0; t < T; t++) {
        activated(r, x, nullptr, t, values, B, v + t * B);
        const DeltaGates gates = gates_of(r, begin + t, n);
        alpha[t] = gates.alpha, beta[t] = gates.beta;
      }
      for (long j = 0; j < B; j++) {
        for (long t = 0; t < T; t++) {
          float* row = kept + (t + 1) * width;
          memcpy(row, row - width, 4 * width);
          miss[t] = step_row(row, k + t * width, v[t * B + j], {alpha[t], beta[t]}, width);
        }
        memset(d, 0, 4 * width);
        for (long t = T - 1; t >= 0; t--) {
          const float *qt = q + t * width, *kt = k + t * width, *before = kept + t * width, *row = before + width;
          float *dqt = dq + t * width, *dkt = dk + t * width;
          const vf dout = splat(a.do_TM[(begin + t) * M + n * B + j]);
          vf sum = {};
          for (long i = 0; i < width; i += VL) {
            const vf di = fma(dout, load(qt + i), load(d + i));
            store(d + i, di);
            store(dqt + i, fma(dout, load(row + i), load(dqt + i)));
            sum = fma(di, load(kt + i), sum);
          }
          const float ddelta = total(sum), dm = -beta[t] * ddelta;
          const vf delta = splat(beta[t] * miss[t]), back = splat(dm), decay = splat(alpha[t]);
          dbeta[t] += ddelta * miss[t];
          dv[t * B + j] = -dm;
          sum = vf{};
          for (long i = 0; i < width; i += VL) {
            const vf decayed = decay * load(before + i), di = load(d + i);
            store(dkt + i, fma(delta, di, fma(back, decayed, load(dkt + i))));
            const vf dpast = fma(back, load(kt + i), di);
            sum = fma(dpast, decayed, sum);
            store(d + i, decay * dpast);
          }
          dg[t] += total(sum);
        }
      }
      for (long t = 0; t < T; t++) {
        unit_backward(duq + t * width, uq + t * width, dq + t * width, width, (float)A);
        unit_backward(duk + t * width, uk + t * width, dk + t * width, width, 1);
        const float *gates = a.gates_T2N + (begin + t) * 2 * N;
        float* dgates = a.dgates_T2N + (begin + t) * 2 * N;
        const float rate = first(exp(splat(r.rate_N[n])));
        dgates[n] = dbeta[t] * beta[t] * (1 - beta[t]);
        dgates[N + n] = -dg[t] * rate * sigmoid_of(gates[N + n] + r.bias_N[n]);
      }
      convolution_backward(r, x, dx, dv, B, T, values, B);
    }
    convolution_backward(r, x, dx, duq, width, T, key * A, A);
    convolution_backward(r, x, dx, duk, width, T, (J + key) * A, A);
  };
  parallel(pool, a.S * J, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
