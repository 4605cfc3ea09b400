// SwiGLU (Shazeer 2020, arXiv:2002.05202): y = silu(a)·b over merged rows [a | b], silu(a) = a·σ(a).
// dsilu(a) = σ(a)·(1 + a·(1 − σ(a))).

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_GATED(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, y_TF, "TF") _(IN, gateUp, "T2F")
#define ZG_GATED_BACKWARD(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, dgateUp, "T2F") _(IN, dy_TF, "TF") _(IN, gateUp, "T2F")
ZG_ARGUMENTS(Gated, ZG_GATED)
ZG_ARGUMENTS(GatedBackward, ZG_GATED_BACKWARD)

namespace ZG_ISA {

// y = a · Unit::sigma(a) · b for any unit of the form a·σ(…).
template <class Unit>
static bool gated(Pool* pool, const Gated& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
    each_vector(a.F, [&](long i, long n) {
      const vf x = load_n(gate + i, n);
      store_n(a.y_TF + t * a.F + i, x * Unit::sigma(x) * load_n(up + i, n), n);
    });
  });
}

// `times_slope` multiplies by the unit's derivative, given its sigma, in an order of its own: bits depend on it.
template <class Unit>
static bool gated_backward(Pool* pool, const GatedBackward& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
    float *dgate = a.dgateUp + 2 * t * a.F, *dup = dgate + a.F;
    each_vector(a.F, [&](long i, long n) {
      const vf x = load_n(gate + i, n), dy = load_n(a.dy_TF + t * a.F + i, n);
      const vf s = Unit::sigma(x);
      store_n(dgate + i, Unit::times_slope(dy * load_n(up + i, n), x, s), n);
      store_n(dup + i, dy * x * s, n);
    });
  });
}

struct Silu {
  ZG_INLINE vf sigma(vf a) { return sigmoid(a); }
  ZG_INLINE vf times_slope(vf d, vf a, vf s) { return d * s * fma(a, splat(1.0f) - s, splat(1.0f)); }
};

static bool swiglu(Pool* pool, const Gated& a) { return gated<Silu>(pool, a); }
static bool swiglu_backward(Pool* pool, const GatedBackward& a) { return gated_backward<Silu>(pool, a); }

}  // namespace ZG_ISA
}  // namespace zg
