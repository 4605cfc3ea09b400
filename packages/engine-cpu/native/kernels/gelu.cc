// GELU in its tanh approximation (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2), alone and as a gate (GeGLU, Shazeer 2020,
// arXiv:2002.05202).
//
//   gelu(a) = ½·a·(1 + tanh(u)) = a·σ(2u)        u = √(2/π)·(a + 0.044715·a³)
//   dgelu(a) = σ(2u) + a·σ(2u)·(1 − σ(2u))·2u'        GeGLU over merged rows [a | b]: y = gelu(a)·b

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_GELU(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, y_TF, "TF") _(IN, up_TF, "TF")
#define ZG_GELU_BACKWARD(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, dup_TF, "TF") _(IN, dy_TF, "TF") _(IN, up_TF, "TF")
ZG_ARGUMENTS(Gelu, ZG_GELU)
ZG_ARGUMENTS(GeluBackward, ZG_GELU_BACKWARD)

namespace ZG_ISA {

constexpr float GELU_SCALE = 1.5957691216057308f, GELU_CUBIC = 0.044715f;  // 2·√(2/π)

// A unit of swiglu.cc's kind.
struct GeluUnit {
  ZG_INLINE vf sigma(vf a) { return sigmoid(splat(GELU_SCALE) * a * fma(splat(GELU_CUBIC) * a, a, splat(1.0f))); }
  ZG_INLINE vf times_slope(vf d, vf a, vf s) {
    const vf slope = splat(GELU_SCALE) * fma(splat(3 * GELU_CUBIC) * a, a, splat(1.0f));
    return d * (s * fma(a * (splat(1.0f) - s), slope, splat(1.0f)));
  }
};

static bool gelu(Pool* pool, const Gelu& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      const vf x = load_n(a.up_TF + t * a.F + i, n);
      store_n(a.y_TF + t * a.F + i, x * GeluUnit::sigma(x), n);
    });
  });
}

static bool gelu_backward(Pool* pool, const GeluBackward& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      const long at = t * a.F + i;
      const vf x = load_n(a.up_TF + at, n);
      store_n(a.dup_TF + at, GeluUnit::times_slope(load_n(a.dy_TF + at, n), x, GeluUnit::sigma(x)), n);
    });
  });
}

static bool geglu(Pool* pool, const Gated& a) { return gated<GeluUnit>(pool, a); }
static bool geglu_backward(Pool* pool, const GatedBackward& a) { return gated_backward<GeluUnit>(pool, a); }

}  // namespace ZG_ISA
}  // namespace zg
