// What stands between the two halves of an MLP: SwiGLU, GeGLU, GELU, forward and backward. One thread a number of `[T, F]`.
#include "common.cuh"

DEVICE float sigmoid(float x) { return 1.f / (1.f + exp2_of(-x * LOG2E)); }

// gelu(x) = x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³))), the tanh approximation
DEVICE float gelu_of(float x) { return 0.5f * x * (1.f + tanh_of(0.7978845608028654f * (x + 0.044715f * x * x * x))); }
DEVICE float gelu_slope(float x) {
  float h = tanh_of(0.7978845608028654f * (x + 0.044715f * x * x * x));
  return 0.5f * (1.f + h) + 0.5f * x * (1.f - h * h) * 0.7978845608028654f * (1.f + 3.f * 0.044715f * x * x);
}

DEVICE u64 element() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

KERNEL(swiglu)(ACT* y_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element();
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  float gate = load(gate_up + at), up = load(gate_up + at + F);
  store(y_TF + i, gate * sigmoid(gate) * up);
}
KERNEL(swiglu_backward)(ACT* dgate_up, const ACT* dy_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element();
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  float gate = load(gate_up + at), up = load(gate_up + at + F), dy = load(dy_TF + i), s = sigmoid(gate);
  store(dgate_up + at, dy * up * s * (1.f + gate * (1.f - s)));
  store(dgate_up + at + F, dy * gate * s);
}

KERNEL(geglu)(ACT* y_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element();
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  store(y_TF + i, gelu_of(load(gate_up + at)) * load(gate_up + at + F));
}
KERNEL(geglu_backward)(ACT* dgate_up, const ACT* dy_TF, const ACT* gate_up, u64 length, int F) {
  u64 i = element();
  if (i >= length) return;
  u64 at = i / F * 2 * F + i % F;
  float gate = load(gate_up + at), dy = load(dy_TF + i);
  store(dgate_up + at, dy * load(gate_up + at + F) * gelu_slope(gate));
  store(dgate_up + at + F, dy * gelu_of(gate));
}

KERNEL(gelu)(ACT* y_TF, const ACT* up_TF, u64 length) {
  u64 i = element();
  if (i < length) store(y_TF + i, gelu_of(load(up_TF + i)));
}
KERNEL(gelu_backward)(ACT* dup_TF, const ACT* dy_TF, const ACT* up_TF, u64 length) {
  u64 i = element();
  if (i < length) store(dup_TF + i, load(dy_TF + i) * gelu_slope(load(up_TF + i)));
}
