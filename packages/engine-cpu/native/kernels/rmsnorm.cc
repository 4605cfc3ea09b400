// RMSNorm over the last dimension (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).
//
//   rstd_T = 1 / sqrt(mean_D(x_TD²) + eps)        y_TD = x_TD · rstd_T · weight_D
//   with x̂ = x·rstd and g = dy·weight:  dx = rstd · (g − x̂ · mean_D(g·x̂)) (+ residual)

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_RMS_NORM(_)                                                            \
  _(SIZE, T, 0) _(SIZE, D, 1) _(NUMBER, eps) _(VECTOR, weight_D, "D") _(OUT, y_TD, "TD") _(OUT, rstd_T, "T") \
  _(IN, x_TD, "TD")
#define ZG_RMS_NORM_BACKWARD(_)                                                                     \
  _(SIZE, T, 0) _(SIZE, D, 1) _(VECTOR, weight_D, "D") _(OUT, dx_TD, "TD") _(IN, dy_TD, "TD") _(IN, x_TD, "TD") \
  _(IN, rstd_T, "T") _(MAYBE, residual_TD, "TD")
ZG_ARGUMENTS(RmsNorm, ZG_RMS_NORM)
ZG_ARGUMENTS(RmsNormBackward, ZG_RMS_NORM_BACKWARD)

namespace ZG_ISA {

static bool rms_norm(Pool* pool, const RmsNorm& a) {
  const float* weight = widened(pool, a.weight_D);
  return weight && each_row(pool, a.T, a.D, [&](long t) {
    const float* x = a.x_TD + t * a.D;
    const float squares = row_sum(a.D, [&](vf sum, long i, long n) {
      const vf v = load_n(x + i, n);
      return fma(v, v, sum);
    });
    const float rstd = 1.0f / __builtin_sqrtf(squares / (float)a.D + a.eps);
    a.rstd_T[t] = rstd;
    each_vector(a.D, [&](long i, long n) {
      store_n(a.y_TD + t * a.D + i, load_n(x + i, n) * splat(rstd) * load_n(weight + i, n), n);
    });
  });
}

static bool rms_norm_backward(Pool* pool, const RmsNormBackward& a) {
  const float* weight = widened(pool, a.weight_D);
  return weight && each_row(pool, a.T, a.D, [&](long t) {
    const float *x = a.x_TD + t * a.D, *dy = a.dy_TD + t * a.D;
    const float dot = row_sum(a.D, [&](vf sum, long i, long n) {
      return fma(load_n(dy + i, n) * load_n(weight + i, n), load_n(x + i, n), sum);
    });
    const float rstd = a.rstd_T[t];
    const vf mean = splat(dot * rstd / (float)a.D);
    each_vector(a.D, [&](long i, long n) {
      const vf normal = load_n(x + i, n) * splat(rstd);
      const vf dx = splat(rstd) * fma(-normal, mean, load_n(dy + i, n) * load_n(weight + i, n));
      store_n(a.dx_TD + t * a.D + i, plus_n(dx, a.residual_TD, t * a.D + i, n), n);
    });
  });
}

}  // namespace ZG_ISA
}  // namespace zg
