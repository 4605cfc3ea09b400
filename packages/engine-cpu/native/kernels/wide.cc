// Linear maps over float64 activations with trained float32 weights, on the host: the bits of core's kernels/wide_linear.ts.
//
//   y = x·Wᵀ + b        dx = dy·W,   dW += dyᵀ·x,   db += Σ_T dy
//
// Every sum ascends, and no product is fused with an addition: lanes are sums of their own.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// DL lanes of doubles.
constexpr int DL = VL / 2;
typedef double vd __attribute__((vector_size(8 * DL)));
typedef float vs __attribute__((vector_size(4 * DL)));

// A tile is WR sums by two vectors; rows or columns of two vectors are a strip.
constexpr int WR = 4, STRIP = 2 * DL;
// Outputs of one job.
constexpr long WIDE_OUTPUTS = 64;

ZG_INLINE vd load_d(const double* p) {
  vd v;
  memcpy(&v, p, sizeof v);
  return v;
}
ZG_INLINE void store_d(double* p, vd v) { memcpy(p, &v, sizeof v); }
ZG_INLINE vd splat_d(double x) { return x - vd{}; }
ZG_INLINE vd load_widened(const float* p) {
  vs v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vd);
}

// Columns k … k+STRIP of a row of K numbers as doubles, zeros beyond.
template <class Number>
ZG_INLINE void strip_of(double* to, const Number* row, long k, long K) {
  for (long i = 0; i < STRIP; i++) to[i] = k + i < K ? (double)row[k + i] : 0;
}

// Rows of one strip, outputs n … n+rows of them: lanes are rows of x.
template <int rows>
ZG_INLINE void wide_tile(const WideLinear& a, const double* across, long n, long t, long count) {
  vd sums[rows][2];
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = splat_d(a.b_N[n + r]);
  for (long k = 0; k < a.K; k++) {
    const vd x0 = load_d(across + k * STRIP), x1 = load_d(across + k * STRIP + DL);
    for (int r = 0; r < rows; r++) {
      const vd w = splat_d(a.w_NK[(n + r) * a.K + k]);
      sums[r][0] += x0 * w;
      sums[r][1] += x1 * w;
    }
  }
  double lanes[STRIP];
  for (int r = 0; r < rows; r++) {
    store_d(lanes, sums[r][0]);
    store_d(lanes + DL, sums[r][1]);
    for (long i = 0; i < count; i++) a.y_TN[(t + i) * a.N + n + r] = lanes[i];
  }
}

static bool wide_linear(Pool* pool, const WideLinear& a) {
  const long chunks = (a.N + WIDE_OUTPUTS - 1) / WIDE_OUTPUTS, strips = (a.T + STRIP - 1) / STRIP;
  if (!reserve_threads(pool, 2 * a.K * STRIP)) return false;
  auto job = [&](long job, int thread) {
    const long t = job / chunks * STRIP, count = least((long)STRIP, a.T - t), from = job % chunks * WIDE_OUTPUTS;
    const long to = least(from + WIDE_OUTPUTS, a.N);
    double* across = (double*)scratch_of(pool, thread);
    for (long i = 0; i < STRIP; i++) {
      for (long k = 0; k < a.K; k++) across[k * STRIP + i] = i < count ? a.x_TK[(t + i) * a.K + k] : 0;
    }
    long n = from;
    for (; n + WR <= to; n += WR) wide_tile<WR>(a, across, n, t, count);
    for (; n < to; n++) wide_tile<1>(a, across, n, t, count);
  };
  parallel(pool, strips * chunks, job);
  return true;
}

// dx of rows t … t+rows in one strip of columns, whose weights are in `w_NS`.
template <int rows>
ZG_INLINE void wide_dx_tile(const WideLinearBackward& a, const double* w_NS, long t, long k, long count) {
  vd sums[rows][2] = {};
  for (long n = 0; n < a.N; n++) {
    const vd w0 = load_d(w_NS + n * STRIP), w1 = load_d(w_NS + n * STRIP + DL);
    for (int r = 0; r < rows; r++) {
      const vd d = splat_d(a.dy_TN[(t + r) * a.N + n]);
      sums[r][0] += d * w0;
      sums[r][1] += d * w1;
    }
  }
  double lanes[STRIP];
  for (int r = 0; r < rows; r++) {
    store_d(lanes, sums[r][0]);
    store_d(lanes + DL, sums[r][1]);
    memcpy(a.dx_TK + (t + r) * a.K + k, lanes, 8 * count);
  }
}

// dW of outputs n … n+rows in one strip of columns, whose activations are in `x_TS`.
template <int rows>
ZG_INLINE void wide_dw_tile(const WideLinearBackward& a, const double* x_TS, long n, long k, long count) {
  double lanes[STRIP];
  vd sums[rows][2];
  for (int r = 0; r < rows; r++) {
    strip_of(lanes, a.dw_NK + (n + r) * a.K, k, a.K);
    sums[r][0] = load_d(lanes);
    sums[r][1] = load_d(lanes + DL);
  }
  for (long t = 0; t < a.T; t++) {
    const vd x0 = load_d(x_TS + t * STRIP), x1 = load_d(x_TS + t * STRIP + DL);
    for (int r = 0; r < rows; r++) {
      const vd d = splat_d(a.dy_TN[t * a.N + n + r]);
      sums[r][0] += d * x0;
      sums[r][1] += d * x1;
    }
  }
  for (int r = 0; r < rows; r++) {
    store_d(lanes, sums[r][0]);
    store_d(lanes + DL, sums[r][1]);
    memcpy(a.dw_NK + (n + r) * a.K + k, lanes, 8 * count);
  }
}

static bool wide_linear_backward(Pool* pool, const WideLinearBackward& a) {
  for (long t = 0; t < a.T; t++) {
    for (long n = 0; n < a.N; n++) a.db_N[n] += a.dy_TN[t * a.N + n];
  }
  if (!reserve_threads(pool, 2 * most(a.N, a.T) * STRIP)) return false;
  auto job = [&](long job, int thread) {
    const long k = job * STRIP, count = least((long)STRIP, a.K - k);
    double* strip = (double*)scratch_of(pool, thread);
    for (long n = 0; n < a.N; n++) {
      if (count == STRIP) {
        store_d(strip + n * STRIP, load_widened(a.w_NK + n * a.K + k));
        store_d(strip + n * STRIP + DL, load_widened(a.w_NK + n * a.K + k + DL));
      } else strip_of(strip + n * STRIP, a.w_NK + n * a.K, k, a.K);
    }
    long t = 0;
    for (; t + WR <= a.T; t += WR) wide_dx_tile<WR>(a, strip, t, k, count);
    for (; t < a.T; t++) wide_dx_tile<1>(a, strip, t, k, count);
    for (t = 0; t < a.T; t++) strip_of(strip + t * STRIP, a.x_TK + t * a.K, k, a.K);
    long n = 0;
    for (; n + WR <= a.N; n += WR) wide_dw_tile<WR>(a, strip, n, k, count);
    for (; n < a.N; n++) wide_dw_tile<1>(a, strip, n, k, count);
  };
  parallel(pool, (a.K + STRIP - 1) / STRIP, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
