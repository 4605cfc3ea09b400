// LayerNorm over the last dimension (Ba et al. 2016, arXiv:1607.06450, eq. 3).
//
//   x̂ = (x − mean_D(x)) · rstd        rstd = 1 / sqrt(mean_D((x − mean)²) + eps)        y = x̂ · weight_D + bias_D
//   with g = dy·weight:  dx = rstd · (g − mean_D(g) − x̂ · mean_D(g·x̂)) (+ residual)

#include "simd.h"

namespace zg {
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
  float* weight = scratch(pool, PARTIAL, 2 * a.D);
  if (!weight) return false;
  float* bias = weight + a.D;
  widen(weight, a.weight.data, a.weight.type, a.D);
  widen(bias, a.bias.data, a.bias.type, a.D);
  const long rows = rows_per_job(a.D);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float* x = a.x_TD + t * a.D;
      float* y = a.y_TD + t * a.D;
      const float mean = row_sum(a.D, [&](vf sum, long i, long n) { return sum + load_n(x + i, n); }) / (float)a.D;
      const float squares = row_sum(a.D, [&](vf sum, long i, long n) {
        const vf v = centred(x + i, mean, n);
        return fma(v, v, sum);
      });
      const float rstd = 1.0f / __builtin_sqrtf(squares / (float)a.D + a.eps);
      a.stats_T2[2 * t] = mean;
      a.stats_T2[2 * t + 1] = rstd;
      for (long i = 0; i < a.D; i += VL) {
        const long n = least((long)VL, a.D - i);
        const vf normal = (load_n(x + i, n) - splat(mean)) * splat(rstd);
        store_n(y + i, fma(normal, load_n(weight + i, n), load_n(bias + i, n)), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool layer_norm_backward(Pool* pool, const LayerNormBackward& a) {
  float* weight = scratch(pool, PARTIAL, a.D);
  if (!weight) return false;
  widen(weight, a.weight.data, a.weight.type, a.D);
  const long rows = rows_per_job(a.D);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *x = a.x_TD + t * a.D, *dy = a.dy_TD + t * a.D;
      const float mean = a.stats_T2[2 * t], rstd = a.stats_T2[2 * t + 1];
      const float total_g = row_sum(a.D, [&](vf sum, long i, long n) {
        return fma(load_n(dy + i, n), load_n(weight + i, n), sum);
      });
      const float dot = row_sum(a.D, [&](vf sum, long i, long n) {
        return fma(load_n(dy + i, n) * load_n(weight + i, n), load_n(x + i, n) - splat(mean), sum);
      });
      const vf mean_g = splat(total_g / (float)a.D), mean_dot = splat(dot * rstd / (float)a.D);
      for (long i = 0; i < a.D; i += VL) {
        const long n = least((long)VL, a.D - i);
        const vf normal = (load_n(x + i, n) - splat(mean)) * splat(rstd);
        vf dx = splat(rstd) * fma(-normal, mean_dot, fma(load_n(dy + i, n), load_n(weight + i, n), -mean_g));
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
