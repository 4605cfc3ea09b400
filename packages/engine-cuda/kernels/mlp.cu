// What stands between the two halves of an MLP: SwiGLU, GeGLU, two GELUs, forward and backward; a third forward. One thread a number of `[T, F]`, or WIDE of them.
#include "common.cuh"

DEVICE float sigmoid(float x) { return 1.f / (1.f + exp2_of(-x * LOG2E)); }

// gelu(x) = x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³))), the tanh approximation
DEVICE float gelu_of(float x) { return 0.5f * x * (1.f + tanh_of(0.7978845608028654f * (x + 0.044715f * x * x * x))); }
DEVICE float gelu_slope(float x) {
  float h = tanh_of(0.7978845608028654f * (x + 0.044715f * x * x * x));
  return 0.5f * (1.f + h) + 0.5f * x * (1.f - h * h) * 0.7978845608028654f * (1.f + 3.f * 0.044715f * x * x);
}

// Φ(x) = (1 + erf(z))/2, z = x/√2: near 0 a polynomial of erf, beyond it one of log erfc; erf is off by less than 1e-7
DEVICE float normal_distribution(float x) {
  float z = x * 0.70710678118654752f, s = z * z, t = fabsf(z);
  if (t <= 0.927734375f) {
    float low = ((((-5.96761703e-4f * s + 4.99119423e-3f) * s - 2.67681349e-2f) * s + 1.12819925e-1f) * s - 3.76125336e-1f) * s;
    return 0.5f + 0.5f * ((low + 1.28379166e-1f) * z + z);
  }
  float high = (-1.72853470e-5f * t + 3.83197126e-4f) * s + (-3.88396438e-3f * t + 2.42546219e-2f);
  high = ((high * t - 1.06777877e-1f) * t - 6.34846687e-1f) * t - 1.28717512e-1f;
  float tail = 0.5f * exp2_of((high * t - t) * LOG2E);
  return x < 0.f ? tail : 1.f - tail;
}

DEVICE u64 element() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// Of gate, up and dy: y, and what goes back to gate and up.
struct SwiGlu {
  DEVICE_METHOD float forward(float gate, float up) { return gate * sigmoid(gate) * up; }
  DEVICE_METHOD void backward(float& gate, float& up, float dy) {
    float s = sigmoid(gate), dgate = dy * up * s * (1.f + gate * (1.f - s));
    up = dy * gate * s;
    gate = dgate;
  }
};
struct GeGlu {
  DEVICE_METHOD float forward(float gate, float up) { return gelu_of(gate) * up; }
  DEVICE_METHOD void backward(float& gate, float& up, float dy) {
    float dgate = dy * up * gelu_slope(gate);
    up = dy * gelu_of(gate);
    gate = dgate;
  }
};
// N numbers a thread; a row of `gate_up` is F gates, then F ups.
template <class Unit, int N>
DEVICE void gated(ACT* y_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element() * N;
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  float gate[N], up[N];
  load_some<N>(gate, gate_up + at);
  load_some<N>(up, gate_up + at + F);
  for (int n = 0; n < N; n++) gate[n] = Unit::forward(gate[n], up[n]);
  store_some<N>(y_TF + i, gate);
}
template <class Unit, int N>
DEVICE void gated_backward(ACT* dgate_up, const ACT* dy_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element() * N;
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  float gate[N], up[N], dy[N];
  load_some<N>(gate, gate_up + at);
  load_some<N>(up, gate_up + at + F);
  load_some<N>(dy, dy_TF + i);
  for (int n = 0; n < N; n++) Unit::backward(gate[n], up[n], dy[n]);
  store_some<N>(dgate_up + at, gate);
  store_some<N>(dgate_up + at + F, up);
}
LAUNCH(swiglu, several, T, F)
KERNEL(swiglu)(ACT* y_TF, const ACT* gateUp, int T, int F) {
  if (F % WIDE == 0) gated<SwiGlu, WIDE>(y_TF, gateUp, (u64)T * F, F);
  else gated<SwiGlu, 1>(y_TF, gateUp, (u64)T * F, F);
}
LAUNCH(swiglu_backward, several, T, F)
KERNEL(swiglu_backward)(ACT* dgateUp, const ACT* dy_TF, const ACT* gateUp, int T, int F) {
  if (F % WIDE == 0) gated_backward<SwiGlu, WIDE>(dgateUp, dy_TF, gateUp, (u64)T * F, F);
  else gated_backward<SwiGlu, 1>(dgateUp, dy_TF, gateUp, (u64)T * F, F);
}
LAUNCH(geglu, several, T, F)
KERNEL(geglu)(ACT* y_TF, const ACT* gateUp, int T, int F) {
  if (F % WIDE == 0) gated<GeGlu, WIDE>(y_TF, gateUp, (u64)T * F, F);
  else gated<GeGlu, 1>(y_TF, gateUp, (u64)T * F, F);
}
LAUNCH(geglu_backward, several, T, F)
KERNEL(geglu_backward)(ACT* dgateUp, const ACT* dy_TF, const ACT* gateUp, int T, int F) {
  if (F % WIDE == 0) gated_backward<GeGlu, WIDE>(dgateUp, dy_TF, gateUp, (u64)T * F, F);
  else gated_backward<GeGlu, 1>(dgateUp, dy_TF, gateUp, (u64)T * F, F);
}

LAUNCH(gelu, numbers, T, F)
KERNEL(gelu)(ACT* y_TF, const ACT* up_TF, int T, int F) {
  u64 i = element();
  if (i < (u64)T * F) store(y_TF + i, gelu_of(load(up_TF + i)));
}
LAUNCH(gelu_backward, numbers, T, F)
KERNEL(gelu_backward)(ACT* dup_TF, const ACT* dy_TF, const ACT* up_TF, int T, int F) {
  u64 i = element();
  if (i < (u64)T * F) store(dup_TF + i, load(dy_TF + i) * gelu_slope(load(up_TF + i)));
}
LAUNCH(gelu_erf, numbers, T, F)
KERNEL(gelu_erf)(ACT* y_TF, const ACT* up_TF, int T, int F) {
  u64 i = element();
  if (i >= (u64)T * F) return;
  float x = load(up_TF + i);
  store(y_TF + i, x * normal_distribution(x));
}
LAUNCH(gelu_erf_backward, numbers, T, F)
KERNEL(gelu_erf_backward)(ACT* dup_TF, const ACT* dy_TF, const ACT* up_TF, int T, int F) {
  u64 i = element();
  if (i >= (u64)T * F) return;
  float x = load(up_TF + i), density = 0.3989422804014327f * exp2_of(-0.5f * x * x * LOG2E);
  store(dup_TF + i, load(dy_TF + i) * (normal_distribution(x) + x * density));
}
LAUNCH(gelu_quick, numbers, T, F)
KERNEL(gelu_quick)(ACT* y_TF, const ACT* up_TF, int T, int F) {
  u64 i = element();
  if (i >= (u64)T * F) return;
  float x = load(up_TF + i);
  store(y_TF + i, x * sigmoid(1.702f * x));
}

// σ(gate)·x,  and  dx = σ(gate)·dy,  dgate = dy·x·σ·(1 − σ)
LAUNCH(sigmoid_gate, numbers, T, F)
KERNEL(sigmoid_gate)(ACT* y_TF, const ACT* x_TF, const ACT* gate_TF, int T, int F) {
  u64 i = element();
  if (i < (u64)T * F) store(y_TF + i, load(x_TF + i) * sigmoid(load(gate_TF + i)));
}
LAUNCH(sigmoid_gate_backward, numbers, T, F)
KERNEL(sigmoid_gate_backward)(ACT* dx_TF, ACT* dgate_TF, const ACT* dy_TF, const ACT* x_TF, const ACT* gate_TF, int T, int F) {
  u64 i = element();
  if (i >= (u64)T * F) return;
  float open = sigmoid(load(gate_TF + i)), dy = load(dy_TF + i);
  store(dx_TF + i, dy * open);
  store(dgate_TF + i, dy * load(x_TF + i) * open * (1.f - open));
}
