// Output head and cross-entropy of labelled tokens, in chunks of rows: a [T, V] matrix never exists.
//
//   nll[r] = logΣ_v exp(z[r, v]) − z[r, label[r]]  in nats,   z = y·headᵀ, or cap · tanh(y·headᵀ/cap) under a soft cap
//   hit[r] = 1 if label[r] = argmax_v z[r, v] (the lowest of equals) else 0
//   dy[r] = scale · ((softmax(z[r]) − onehot(label[r])) ∘ z'[r])·head,   z' = 1, or 1 − (z/cap)²

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Rows of logits held at a time: enough to repay two passes over the head, within 64 MiB if that leaves 32 rows.
static long loss_chunk(long R, long V) { return least(R, most(32l, least(256l, (16l << 20) / V))); }

static void cap_row(float* z, long V, float cap) {
  for (long v = 0; v < V; v += VL) {
    const long n = least((long)VL, V - v);
    store_n(z + v, splat(cap) * tanh(load_n(z + v, n) * splat(1.0f / cap)), n);
  }
}

// Loss of one row of logits, and whether greedy decoding takes the label; if its gradient is wanted, the row is turned
// into that.
static float row_loss(float* z, long V, int32_t label, float* hit, bool gradient, float scale, float cap) {
  if (cap > 0) cap_row(z, V, cap);
  const long whole = V - V % VL, rest = V - whole;
  vf max = splat(z[0]);
  for (long v = 0; v < whole; v += VL) max = greater(load(z + v), max);
  float top = largest(max);
  for (long v = whole; v < V; v++) top = z[v] > top ? z[v] : top;
  bool isFirst = z[label] == top;
  for (long v = 0; v < label && isFirst; v++) isFirst = z[v] != top;
  *hit = isFirst ? 1.0f : 0.0f;

  double sum = 0;
  constexpr long stretch = 1024;  // summed in float32; the stretches in float64
  for (long from = 0; from < whole; from += stretch) {
    vf part = {};
    for (long v = from; v < least(from + stretch, whole); v += VL) part += exp(load(z + v) - splat(top));
    sum += total(part);
  }
  if (rest > 0) {
    float last[VL];
    store(last, exp(load_part(z + whole, rest) - splat(top)));
    for (long i = 0; i < rest; i++) sum += last[i];
  }
  const double log = __builtin_log(sum);
  const float label_z = z[label];
  const float nll = (float)((double)top - (double)label_z + log);
  if (gradient) {
    const vf factor = splat((float)(scale / sum)), shift = splat(top);
    for (long v = 0; v < V; v += VL) {
      const long n = least((long)VL, V - v);
      const vf own = load_n(z + v, n);
      vf dz = factor * exp(own - shift);
      if (cap > 0) dz *= splat(1.0f) - own * own * splat(1.0f / (cap * cap));
      store_n(z + v, dz, n);
    }
    z[label] -= cap > 0 ? scale * (1.0f - label_z * label_z / (cap * cap)) : scale;
  }
  return nll;
}

static bool head_loss(Pool* pool, const HeadLoss& a) {
  const long V = a.head.rows, D = a.head.columns, chunk = loss_chunk(a.R, V);
  float* z = scratch(pool, LOGITS, chunk * V);
  if (!z) return false;
  for (long from = 0; from < a.R; from += chunk) {
    const long rows = least(chunk, a.R - from);
    const Weight none = {nullptr, Type::F32, 0, 0};
    if (!linear(pool, {z, a.y_RD + from * D, a.head, none, nullptr, rows, a.bf16})) return false;
    auto job = [&](long r, int) {
      const long at = from + r;
      a.nll_R[at] = row_loss(z + r * V, V, a.labels_R[at], a.hit_R + at, a.dy_RD != nullptr, a.scale, a.cap);
    };
    parallel(pool, rows, job);
    if (a.dy_RD && !linear_backward(pool, {a.dy_RD + from * D, z, a.head, none, nullptr, rows, a.bf16})) return false;
  }
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
