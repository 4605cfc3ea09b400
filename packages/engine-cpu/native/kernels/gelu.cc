// GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2) in its tanh approximation, alone and as a gate (GeGLU, Shazeer 2020,
// arXiv:2002.05202); as a·Φ(a), whose slope is Φ(a) + a·φ(a); and forward alone as a·σ(1.702a).
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

// Φ(a) = (1 + erf(z))/2 with z = a/√2: near 0 a polynomial of erf, beyond it one of log erfc, so that small tails are no
// differences. Minimax fits; erf is off by at most 6.4e-8.
ZG_INLINE vf normal_distribution(vf a) {
  const vf z = a * splat(0.70710678118654752f), s = z * z, t = z < vf{} ? -z : z;
  vf low = splat(-5.96761703e-4f);
  low = fma(low, s, splat(4.99119423e-3f));
  low = fma(low, s, splat(-2.67681349e-2f));
  low = fma(low, s, splat(1.12819925e-1f));
  low = fma(low, s, splat(-3.76125336e-1f));
  low = fma(low, s, splat(1.28379166e-1f));
  const vf near = fma(splat(0.5f), fma(low, z, z), splat(0.5f));
  vf high = fma(splat(-1.72853470e-5f), t, splat(3.83197126e-4f));
  high = fma(high, s, fma(splat(-3.88396438e-3f), t, splat(2.42546219e-2f)));
  high = fma(high, t, splat(-1.06777877e-1f));
  high = fma(high, t, splat(-6.34846687e-1f));
  high = fma(high, t, splat(-1.28717512e-1f));
  const vf tail = splat(0.5f) * exp(fma(high, t, -t));
  const vf far = a < vf{} ? tail : splat(1.0f) - tail;
  return t > splat(0.927734375f) ? far : near;
}

static bool gelu_erf(Pool* pool, const Gelu& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      const vf x = load_n(a.up_TF + t * a.F + i, n);
      store_n(a.y_TF + t * a.F + i, x * normal_distribution(x), n);
    });
  });
}

static bool gelu_erf_backward(Pool* pool, const GeluBackward& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      const long at = t * a.F + i;
      const vf x = load_n(a.up_TF + at, n);
      const vf density = splat(0.3989422804014327f) * exp(splat(-0.5f) * x * x);
      store_n(a.dup_TF + at, load_n(a.dy_TF + at, n) * fma(x, density, normal_distribution(x)), n);
    });
  });
}

static bool gelu_quick(Pool* pool, const Gelu& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long i, long n) {
      const vf x = load_n(a.up_TF + t * a.F + i, n);
      store_n(a.y_TF + t * a.F + i, x * sigmoid(splat(1.702f) * x), n);
    });
  });
}

static bool geglu(Pool* pool, const Gated& a) { return gated<GeluUnit>(pool, a); }
static bool geglu_backward(Pool* pool, const GatedBackward& a) { return gated_backward<GeluUnit>(pool, a); }

}  // namespace ZG_ISA
}  // namespace zg
