// RMSNorm over the last dimension (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).
//
//   rstd_T = 1 / sqrt(mean_D(x_TD²) + eps)        y_TD = x_TD · rstd_T · weight_D
//   with x̂ = x·rstd and g = dy·weight:  dx = rstd · (g − x̂ · mean_D(g·x̂)) (+ residual)

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Σ of f(i, lanes) over a row, in four chains of vectors and a fixed tree at the end.
template <class F>
ZG_INLINE float row_sum(long D, F f) {
  vf sums[4] = {};
  long i = 0;
  for (; i + 4 * VL <= D; i += 4 * VL) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) sums[c] = f(sums[c], i + c * VL, (long)VL);
  }
  for (; i < D; i += VL) sums[0] = f(sums[0], i, least((long)VL, D - i));
  return total((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static bool rms_norm(Pool* pool, const RmsNorm& a) {
  float* weight = scratch(pool, PARTIAL, a.D);
  if (!weight) return false;
  widen(weight, a.weight.data, a.weight.type, a.D);
  const long rows = rows_per_job(a.D);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float* x = a.x_TD + t * a.D;
      float* y = a.y_TD + t * a.D;
      const float squares = row_sum(a.D, [&](vf sum, long i, long n) {
        const vf v = load_n(x + i, n);
        return fma(v, v, sum);
      });
      const float rstd = 1.0f / __builtin_sqrtf(squares / (float)a.D + a.eps);
      a.rstd_T[t] = rstd;
      for (long i = 0; i < a.D; i += VL) {
        const long n = least((long)VL, a.D - i);
        store_n(y + i, load_n(x + i, n) * splat(rstd) * load_n(weight + i, n), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool rms_norm_backward(Pool* pool, const RmsNormBackward& a) {
  float* weight = scratch(pool, PARTIAL, a.D);
  if (!weight) return false;
  widen(weight, a.weight.data, a.weight.type, a.D);
  const long rows = rows_per_job(a.D);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *x = a.x_TD + t * a.D, *dy = a.dy_TD + t * a.D;
      const float dot = row_sum(a.D, [&](vf sum, long i, long n) {
        return fma(load_n(dy + i, n) * load_n(weight + i, n), load_n(x + i, n), sum);
      });
      const float rstd = a.rstd_T[t];
      const vf mean = splat(dot * rstd / (float)a.D);
      for (long i = 0; i < a.D; i += VL) {
        const long n = least((long)VL, a.D - i);
        const vf normal = load_n(x + i, n) * splat(rstd);
        vf dx = splat(rstd) * fma(-normal, mean, load_n(dy + i, n) * load_n(weight + i, n));
        if (a.residual_TD) dx += load_n(a.residual_TD + t * a.D + i, n);
        store_n(a.dx_TD + t * a.D + i, dx, n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
