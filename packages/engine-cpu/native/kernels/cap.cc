// Soft caps (Gemma 2, arXiv:2408.00118 §2): y = cap · tanh(x / cap).

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_SOFT_CAP(_) _(SIZE, T, 0) _(SIZE, F, 1) _(NUMBER, cap) _(OUT, y_TF, "TF") _(IN, x_TF, "TF")
ZG_ARGUMENTS(SoftCap, ZG_SOFT_CAP)

namespace ZG_ISA {

static bool soft_cap(Pool* pool, const SoftCap& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      store_n(a.y_TF + t * a.F + i, splat(a.cap) * tanh(load_n(a.x_TF + t * a.F + i, n) * splat(1.0f / a.cap)), n);
    });
  });
}

}  // namespace ZG_ISA
}  // namespace zg
