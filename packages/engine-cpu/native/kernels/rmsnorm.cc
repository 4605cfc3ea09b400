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

ZG_INLINE void rms_norm_row(float* y, float* rstd_T, const float* x, const float* weight, long D, float eps) {
  const float squares = row_sum(D, [&](vf sum, long i, long n) {
    const vf v = load_n(x + i, n);
    return fma(v, v, sum);
  });
  const float rstd = 1.0f / __builtin_sqrtf(squares / (float)D + eps);
  *rstd_T = rstd;
  each_vector(D, [&](long i, long n) { store_n(y + i, load_n(x + i, n) * splat(rstd) * load_n(weight + i, n), n); });
}

ZG_INLINE void rms_norm_backward_row(float* dx, const float* dy, const float* x, const float* weight, float rstd,
                                     const float* residual, long D) {
  const float dot = row_sum(D, [&](vf sum, long i, long n) {
    return fma(load_n(dy + i, n) * load_n(weight + i, n), load_n(x + i, n), sum);
  });
  const vf mean = splat(dot * rstd / (float)D);
  each_vector(D, [&](long i, long n) {
    const vf normal = load_n(x + i, n) * splat(rstd);
    store_n(dx + i, plus_n(splat(rstd) * fma(-normal, mean, load_n(dy + i, n) * load_n(weight + i, n)), residual, i, n), n);
  });
}

static bool rms_norm(Pool* pool, const RmsNorm& a) {
  const float* weight = widened(pool, a.weight_D);
  return weight && each_row(pool, a.T, a.D, [&](long t) {
    rms_norm_row(a.y_TD + t * a.D, a.rstd_T + t, a.x_TD + t * a.D, weight, a.D, a.eps);
  });
}

static bool rms_norm_backward(Pool* pool, const RmsNormBackward& a) {
  const float* weight = widened(pool, a.weight_D);
  return weight && each_row(pool, a.T, a.D, [&](long t) {
    const float* residual = a.residual_TD ? a.residual_TD + t * a.D : nullptr;
    rms_norm_backward_row(a.dx_TD + t * a.D, a.dy_TD + t * a.D, a.x_TD + t * a.D, weight, a.rstd_T[t], residual, a.D);
  });
}

}  // namespace ZG_ISA
}  // namespace zg
