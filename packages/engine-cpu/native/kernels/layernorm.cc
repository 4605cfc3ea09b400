// LayerNorm over the last dimension (Ba et al. 2016, arXiv:1607.06450, eq. 3).
//
//   x̂ = (x − mean_D(x)) · rstd        rstd = 1 / sqrt(mean_D((x − mean)²) + eps)        y = x̂ · weight_D + bias_D
//   with g = dy·weight:  dx = rstd · (g − mean_D(g) − x̂ · mean_D(g·x̂)) (+ residual)

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_LAYER_NORM(_)                                                                        \
  _(SIZE, T, 0) _(SIZE, D, 1) _(NUMBER, eps) _(VECTOR, weight_D, "D") _(VECTOR, bias_D, "D") _(OUT, y_TD, "TD") \
  _(OUT, stats_T2, "T2") _(IN, x_TD, "TD")
#define ZG_LAYER_NORM_BACKWARD(_)                                                                   \
  _(SIZE, T, 0) _(SIZE, D, 1) _(VECTOR, weight_D, "D") _(OUT, dx_TD, "TD") _(IN, dy_TD, "TD") _(IN, x_TD, "TD") \
  _(IN, stats_T2, "T2") _(MAYBE, residual_TD, "TD")
ZG_ARGUMENTS(LayerNorm, ZG_LAYER_NORM)
ZG_ARGUMENTS(LayerNormBackward, ZG_LAYER_NORM_BACKWARD)

namespace ZG_ISA {

// Lanes 0 … n of x − mean; lanes behind stay 0, so that sums over them are right.
ZG_INLINE vf centred(const float* x, float mean, long n) {
  const vf all = load_n(x, n) - splat(mean);
  if (n == VL) return all;
  float lanes[VL] = {};
  store_part(lanes, all, n);
  return load(lanes);
}

static bool layer_norm(Pool* pool, const LayerNorm& a) {
  const float* weight = widened(pool, a.weight_D, &a.bias_D);
  if (!weight) return false;
  const float* bias = weight + a.D;
  return each_row(pool, a.T, a.D, [&](long t) {
    const float* x = a.x_TD + t * a.D;
    const float mean = row_sum(a.D, [&](vf sum, long i, long n) { return sum + load_n(x + i, n); }) / (float)a.D;
    const float squares = row_sum(a.D, [&](vf sum, long i, long n) {
      const vf v = centred(x + i, mean, n);
      return fma(v, v, sum);
    });
    const float rstd = 1.0f / __builtin_sqrtf(squares / (float)a.D + a.eps);
    a.stats_T2[2 * t] = mean;
    a.stats_T2[2 * t + 1] = rstd;
    each_vector(a.D, [&](long i, long n) {
      const vf normal = (load_n(x + i, n) - splat(mean)) * splat(rstd);
      store_n(a.y_TD + t * a.D + i, fma(normal, load_n(weight + i, n), load_n(bias + i, n)), n);
    });
  });
}

static bool layer_norm_backward(Pool* pool, const LayerNormBackward& a) {
  const float* weight = widened(pool, a.weight_D);
  return weight && each_row(pool, a.T, a.D, [&](long t) {
    const float *x = a.x_TD + t * a.D, *dy = a.dy_TD + t * a.D;
    const float mean = a.stats_T2[2 * t], rstd = a.stats_T2[2 * t + 1];
    const float total_g = row_sum(a.D, [&](vf sum, long i, long n) {
      return fma(load_n(dy + i, n), load_n(weight + i, n), sum);
    });
    const float dot = row_sum(a.D, [&](vf sum, long i, long n) {
      return fma(load_n(dy + i, n) * load_n(weight + i, n), load_n(x + i, n) - splat(mean), sum);
    });
    const vf mean_g = splat(total_g / (float)a.D), mean_dot = splat(dot * rstd / (float)a.D);
    each_vector(a.D, [&](long i, long n) {
      const vf normal = (load_n(x + i, n) - splat(mean)) * splat(rstd);
      const vf dx = splat(rstd) * fma(-normal, mean_dot, fma(load_n(dy + i, n), load_n(weight + i, n), -mean_g));
      store_n(a.dx_TD + t * a.D + i, plus_n(dx, a.residual_TD, t * a.D + i, n), n);
    });
  });
}

}  // namespace ZG_ISA
}  // namespace zg
