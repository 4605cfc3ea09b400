// Trained vectors beside frozen maps, and trained weights of norms, by set: token t has those of set s = rowOf[t].
//
//   y[t] = scale[s] · (u[t] + bias[s]) (+ residual[t]),  u[t] if s is -1
//   du[t] = scale[s] · dy[t]        dscale[s] = Σ_t dy[t] · (u[t] + bias[s])        dbias[s] = Σ_t du[t]
//
// and RMSNorm as in rmsnorm.cc with dweight[s] = Σ_t dy[t] · x[t] · rstd[t]. Sums over tokens ascend in blocks of 256 tokens of their
// own set, added in order: the same bits whatever other sets there are and however many threads, which share out columns.

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_SCALE_SHIFT(_)                                                                        \
  _(SIZE, T, 0) _(SIZE, N, 1) _(SIZE, S, 1) _(ROWS, rowOf_T, "T", 'S', -1) _(OUT, y_TN, "TN") _(IN, u_TN, "TN") \
  _(IN, scale_SN, "SN") _(IN, bias_SN, "SN") _(MAYBE, residual_TN, "TN")
#define ZG_SCALE_SHIFT_BACKWARD(_)                                                                \
  _(SIZE, T, 0) _(SIZE, N, 1) _(SIZE, S, 1) _(ROWS, rowOf_T, "T", 'S', -1) _(OUT, du_TN, "TN") _(OUT, dscale_SN, "SN") \
  _(OUT, dbias_SN, "SN") _(IN, dy_TN, "TN") _(IN, u_TN, "TN") _(IN, scale_SN, "SN") _(IN, bias_SN, "SN")
#define ZG_RMS_NORM_BY_SET(_)                                                                     \
  _(SIZE, T, 0) _(SIZE, D, 1) _(SIZE, S, 1) _(NUMBER, eps) _(ROWS, rowOf_T, "T", 'S', 0) _(OUT, y_TD, "TD") \
  _(OUT, rstd_T, "T") _(IN, x_TD, "TD") _(IN, weight_SD, "SD")
#define ZG_RMS_NORM_BY_SET_BACKWARD(_)                                                            \
  _(SIZE, T, 0) _(SIZE, D, 1) _(SIZE, S, 1) _(ROWS, rowOf_T, "T", 'S', 0) _(OUT, dx_TD, "TD") _(IN, dy_TD, "TD") \
  _(IN, x_TD, "TD") _(IN, weight_SD, "SD") _(IN, rstd_T, "T") _(MAYBE, residual_TD, "TD")
#define ZG_RMS_NORM_WEIGHT_BACKWARD(_)                                                            \
  _(SIZE, T, 0) _(SIZE, D, 1) _(SIZE, S, 1) _(ROWS, rowOf_T, "T", 'S', -1) _(OUT, dweight_SD, "SD") _(IN, dy_TD, "TD") \
  _(IN, x_TD, "TD") _(IN, rstd_T, "T")
ZG_ARGUMENTS(ScaleShift, ZG_SCALE_SHIFT)
ZG_ARGUMENTS(ScaleShiftBackward, ZG_SCALE_SHIFT_BACKWARD)
ZG_ARGUMENTS(RmsNormBySet, ZG_RMS_NORM_BY_SET)
ZG_ARGUMENTS(RmsNormBySetBackward, ZG_RMS_NORM_BY_SET_BACKWARD)
ZG_ARGUMENTS(RmsNormWeightBackward, ZG_RMS_NORM_WEIGHT_BACKWARD)

namespace ZG_ISA {

// f(s, d, n, sums) for each set and n lanes from column d on, the columns shared out; it adds to sums.
template <class F>
static bool each_column(Pool* pool, long S, long columns, F f) {
  constexpr long width = 4 * VL;
  auto job = [&](long job, int) {
    for (long d = job * width; d < least((job + 1) * width, columns); d += VL) {
      for (long s = 0; s < S; s++) f(s, d, least((long)VL, columns - d));
    }
  };
  parallel(pool, (columns + width - 1) / width, job);
  return true;
}

// A sum over tokens, in blocks of 256.
struct TokenSum {
  vf whole = {}, block = {};
  long tokens = 0;
  void next() {
    if (++tokens % 256) return;
    whole = whole + block;
    block = vf{};
  }
  vf all() const { return whole + block; }
};

static bool scale_shift(Pool* pool, const ScaleShift& a) {
  return each_row(pool, a.T, a.N, [&](long t) {
    const long s = a.rowOf_T[t];
    const float *u = a.u_TN + t * a.N, *scale = a.scale_SN + s * a.N, *bias = a.bias_SN + s * a.N;
    each_vector(a.N, [&](long i, long n) {
      vf y = load_n(u + i, n);
      if (s >= 0) y = load_n(scale + i, n) * (y + load_n(bias + i, n));
      store_n(a.y_TN + t * a.N + i, plus_n(y, a.residual_TN, t * a.N + i, n), n);
    });
  });
}

static bool scale_shift_backward(Pool* pool, const ScaleShiftBackward& a) {
  each_row(pool, a.T, a.N, [&](long t) {
    const long s = a.rowOf_T[t];
    each_vector(a.N, [&](long i, long n) {
      const vf dy = load_n(a.dy_TN + t * a.N + i, n);
      store_n(a.du_TN + t * a.N + i, s < 0 ? dy : load_n(a.scale_SN + s * a.N + i, n) * dy, n);
    });
  });
  return each_column(pool, a.S, a.N, [&](long s, long d, long n) {
    const vf bias = load_n(a.bias_SN + s * a.N + d, n);
    TokenSum scales, biases;
    for (long t = 0; t < a.T; t++) {
      if (a.rowOf_T[t] != s) continue;
      const long i = t * a.N + d;
      scales.block = fma(load_n(a.dy_TN + i, n), load_n(a.u_TN + i, n) + bias, scales.block);
      biases.block = biases.block + load_n(a.du_TN + i, n);
      scales.next();
      biases.next();
    }
    store_n(a.dscale_SN + s * a.N + d, scales.all(), n);
    store_n(a.dbias_SN + s * a.N + d, biases.all(), n);
  });
}

static bool rms_norm_by_set(Pool* pool, const RmsNormBySet& a) {
  return each_row(pool, a.T, a.D, [&](long t) {
    rms_norm_row(a.y_TD + t * a.D, a.rstd_T + t, a.x_TD + t * a.D, a.weight_SD + a.rowOf_T[t] * a.D, a.D, a.eps);
  });
}

static bool rms_norm_by_set_backward(Pool* pool, const RmsNormBySetBackward& a) {
  return each_row(pool, a.T, a.D, [&](long t) {
    const float* residual = a.residual_TD ? a.residual_TD + t * a.D : nullptr;
    rms_norm_backward_row(a.dx_TD + t * a.D, a.dy_TD + t * a.D, a.x_TD + t * a.D, a.weight_SD + a.rowOf_T[t] * a.D,
                          a.rstd_T[t], residual, a.D);
  });
}

static bool rms_norm_weight_backward(Pool* pool, const RmsNormWeightBackward& a) {
  return each_column(pool, a.S, a.D, [&](long s, long d, long n) {
    TokenSum weights;
    for (long t = 0; t < a.T; t++) {
      if (a.rowOf_T[t] != s) continue;
      const vf normal = load_n(a.x_TD + t * a.D + d, n) * splat(a.rstd_T[t]);
      weights.block = fma(load_n(a.dy_TD + t * a.D + d, n), normal, weights.block);
      weights.next();
    }
    store_n(a.dweight_SD + s * a.D + d, weights.all(), n);
  });
}

}  // namespace ZG_ISA
}  // namespace zg
