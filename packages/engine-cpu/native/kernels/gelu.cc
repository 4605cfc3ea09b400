// GELU in its tanh approximation (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2), alone and as a gate (GeGLU, Shazeer 2020,
// arXiv:2002.05202).
//
//   gelu(a) = ½·a·(1 + tanh(u)) = a·σ(2u)        u = √(2/π)·(a + 0.044715·a³)
//   dgelu(a) = σ(2u) + a·σ(2u)·(1 − σ(2u))·2u'        GeGLU over merged rows [a | b]: y = gelu(a)·b

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr float GELU_SCALE = 1.5957691216057308f, GELU_CUBIC = 0.044715f;  // 2·√(2/π)

ZG_INLINE vf gelu_sigmoid(vf a) {
  return sigmoid(splat(GELU_SCALE) * a * fma(splat(GELU_CUBIC) * a, a, splat(1.0f)));
}

ZG_INLINE vf dgelu_of(vf a, vf s) {
  const vf slope = splat(GELU_SCALE) * fma(splat(3 * GELU_CUBIC) * a, a, splat(1.0f));
  return s * fma(a * (splat(1.0f) - s), slope, splat(1.0f));
}

static bool gelu(Pool* pool, const Gelu& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      for (long i = 0; i < a.F; i += VL) {
        const long n = least((long)VL, a.F - i);
        const vf x = load_n(a.up_TF + t * a.F + i, n);
        store_n(a.y_TF + t * a.F + i, x * gelu_sigmoid(x), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool gelu_backward(Pool* pool, const GeluBackward& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      for (long i = 0; i < a.F; i += VL) {
        const long at = t * a.F + i, n = least((long)VL, a.F - i);
        const vf x = load_n(a.up_TF + at, n);
        store_n(a.dup_TF + at, load_n(a.dy_TF + at, n) * dgelu_of(x, gelu_sigmoid(x)), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool geglu(Pool* pool, const Geglu& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
      for (long i = 0; i < a.F; i += VL) {
        const long n = least((long)VL, a.F - i);
        const vf x = load_n(gate + i, n);
        store_n(a.y_TF + t * a.F + i, x * gelu_sigmoid(x) * load_n(up + i, n), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool geglu_backward(Pool* pool, const GegluBackward& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
      float *dgate = a.dgateUp + 2 * t * a.F, *dup = dgate + a.F;
      for (long i = 0; i < a.F; i += VL) {
        const long n = least((long)VL, a.F - i);
        const vf x = load_n(gate + i, n), dy = load_n(a.dy_TF + t * a.F + i, n);
        const vf s = gelu_sigmoid(x);
        store_n(dgate + i, dy * load_n(up + i, n) * dgelu_of(x, s), n);
        store_n(dup + i, dy * x * s, n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
