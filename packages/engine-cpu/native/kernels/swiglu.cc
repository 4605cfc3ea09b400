// SwiGLU (Shazeer 2020, arXiv:2002.05202): y = silu(a)·b over merged rows [a | b], silu(a) = a·σ(a).
// dsilu(a) = σ(a)·(1 + a·(1 − σ(a))).

#include "simd.h"

namespace zg {
namespace ZG_ISA {

static bool swiglu(Pool* pool, const Swiglu& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
      for (long i = 0; i < a.F; i += VL) {
        const long n = least((long)VL, a.F - i);
        const vf x = load_n(gate + i, n);
        store_n(a.y_TF + t * a.F + i, x * sigmoid(x) * load_n(up + i, n), n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

static bool swiglu_backward(Pool* pool, const SwigluBackward& a) {
  const long rows = rows_per_job(a.F);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const float *gate = a.gateUp + 2 * t * a.F, *up = gate + a.F;
      float *dgate = a.dgateUp + 2 * t * a.F, *dup = dgate + a.F;
      for (long i = 0; i < a.F; i += VL) {
        const long n = least((long)VL, a.F - i);
        const vf x = load_n(gate + i, n), dy = load_n(a.dy_TF + t * a.F + i, n);
        const vf s = sigmoid(x);
        store_n(dgate + i, dy * load_n(up + i, n) * s * fma(x, splat(1.0f) - s, splat(1.0f)), n);
        store_n(dup + i, dy * x * s, n);
      }
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
