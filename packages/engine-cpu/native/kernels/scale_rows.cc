// Rows, each times a factor of its own: y[t, d] = factor[t] · x[t, d].
//
//   dx[t, d] = factor[t] · dy[t, d]        dfactor[t] = Σ_d dy[t, d] · x[t, d]

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_SCALE_ROWS(_) _(SIZE, T, 0) _(SIZE, D, 1) _(OUT, y_TD, "TD") _(IN, x_TD, "TD") _(IN, factor_T, "T")
#define ZG_SCALE_ROWS_BACKWARD(_) \
  _(SIZE, T, 0) _(SIZE, D, 1) _(OUT, dx_TD, "TD") _(OUT, dfactor_T, "T") _(IN, dy_TD, "TD") _(IN, x_TD, "TD") _(IN, factor_T, "T")
ZG_ARGUMENTS(ScaleRows, ZG_SCALE_ROWS)
ZG_ARGUMENTS(ScaleRowsBackward, ZG_SCALE_ROWS_BACKWARD)

namespace ZG_ISA {

static bool scale_rows(Pool* pool, const ScaleRows& a) {
  return each_row(pool, a.T, a.D, [&](long t) {
    const vf factor = splat(a.factor_T[t]);
    each_vector(a.D, [&](long d, long n) { store_n(a.y_TD + t * a.D + d, factor * load_n(a.x_TD + t * a.D + d, n), n); });
  });
}

static bool scale_rows_backward(Pool* pool, const ScaleRowsBackward& a) {
  return each_row(pool, a.T, a.D, [&](long t) {
    const vf factor = splat(a.factor_T[t]);
    vf sum = {};
    each_vector(a.D, [&](long d, long n) {
      const vf dy = load_n(a.dy_TD + t * a.D + d, n);
      store_n(a.dx_TD + t * a.D + d, factor * dy, n);
      sum = fma(dy, load_n(a.x_TD + t * a.D + d, n), sum);
    });
    a.dfactor_T[t] = total(sum);
  });
}

}  // namespace ZG_ISA
}  // namespace zg
