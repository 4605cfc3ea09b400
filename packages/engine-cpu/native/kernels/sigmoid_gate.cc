// A gate: y = σ(g)·x.  dx = σ(g)·dy,  dg = dy·x·σ(g)·(1 − σ(g)).

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_SIGMOID_GATE(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, y_TF, "TF") _(IN, x_TF, "TF") _(IN, gate_TF, "TF")
#define ZG_SIGMOID_GATE_BACKWARD(_) \
  _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, dx_TF, "TF") _(OUT, dgate_TF, "TF") _(IN, dy_TF, "TF") _(IN, x_TF, "TF") _(IN, gate_TF, "TF")
ZG_ARGUMENTS(SigmoidGate, ZG_SIGMOID_GATE)
ZG_ARGUMENTS(SigmoidGateBackward, ZG_SIGMOID_GATE_BACKWARD)

namespace ZG_ISA {

static bool sigmoid_gate(Pool* pool, const SigmoidGate& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long f, long n) {
      const long i = t * a.F + f;
      store_n(a.y_TF + i, load_n(a.x_TF + i, n) * sigmoid(load_n(a.gate_TF + i, n)), n);
    });
  });
}

static bool sigmoid_gate_backward(Pool* pool, const SigmoidGateBackward& a) {
  return each_row(pool, a.T, a.F, [&](long t) {
    each_vector(a.F, [&](long f, long n) {
      const long i = t * a.F + f;
      const vf open = sigmoid(load_n(a.gate_TF + i, n)), dy = load_n(a.dy_TF + i, n);
      store_n(a.dx_TF + i, dy * open, n);
      store_n(a.dgate_TF + i, dy * load_n(a.x_TF + i, n) * open * (splat(1.0f) - open), n);
    });
  });
}

}  // namespace ZG_ISA
}  // namespace zg
