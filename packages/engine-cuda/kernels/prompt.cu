// Zero-init attention to the prompts of LLaMA-Adapter (arXiv:2303.16199 §3.2): a softmax of its own, no mask, no rotation.
// One warp a token and head, `K` floats of shared memory a warp. Reductions over tokens go by fixed splits: no atomics.
#include "common.cuh"

#define SLOTS 16  // prompts of one block of prompt_backward_kv

DEVICE float* warp_scratch(unsigned char* shared, int K) { return (float*)shared + (threadIdx.x >> 5) * K; }

// A prompt's score, under the cap if there is one.
DEVICE float prompt_score(const ACT* q, const ACT* k, int d, float scale, float cap) {
  float score = 0.f;
  for (int c = 0; c < d; c++) score += load(q + c) * load(k + c);
  return capped(scale * score, cap);
}

// a = softmax of the scores of the K prompts of a head, for all lanes.
DEVICE void prompt_softmax(float* a, const ACT* q, const ACT* k_KY, int K, int Y, int d, float scale, float cap) {
  int lane = threadIdx.x & 31;
  float most = NEG_INF, sum = 0.f;
  for (int l = lane; l < K; l += 32) {
    a[l] = prompt_score(q, k_KY + (size_t)l * Y, d, scale, cap);
    most = fmaxf(most, a[l]);
  }
  most = warp_max(most);
  for (int l = lane; l < K; l += 32) {
    a[l] = exp2_of((a[l] - most) * LOG2E);
    sum += a[l];
  }
  sum = warp_sum(sum);
  for (int l = lane; l < K; l += 32) a[l] /= sum;
  __syncwarp();
}

// y += gate · a·v for the T tokens of a set; heads whose gate is 0 keep their bits.
template <class O>
DEVICE void prompt_forward(O* y_TQ, const ACT* qkv_TX, const ACT* kv_KY, const float* gate_H, int T, int H, int G, int d,
                           int K, float scale, float cap, float* a) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  int t = pair / H, h = pair % H, X = (H + 2 * G) * d, Y = 2 * G * d;
  O* y = y_TQ + (size_t)pair * d;
  float gate = gate_H[h];
  if (gate == 0.f) return;
  const ACT* k = kv_KY + h / (H / G) * d;
  prompt_softmax(a, qkv_TX + (size_t)t * X + h * d, k, K, Y, d, scale, cap);
  for (int c = lane; c < d; c += 32) {
    float sum = 0.f;
    for (int l = 0; l < K; l++) sum += a[l] * load(k + G * d + (size_t)l * Y + c);
    store(y + c, load(y + c) + gate * sum);
  }
}
KERNEL(prompt_attention_f32)
(float* y_TQ, const ACT* qkv_TX, const ACT* kv_KY, const float* gate_H, int T, int H, int G, int d, int K, float scale,
 float cap) {
  DYNAMIC_SHARED(shared);
  prompt_forward(y_TQ, qkv_TX, kv_KY, gate_H, T, H, G, d, K, scale, cap, warp_scratch(shared, K));
}
KERNEL(prompt_attention_bf16)
(u16* y_TQ, const ACT* qkv_TX, const ACT* kv_KY, const float* gate_H, int T, int H, int G, int d, int K, float scale,
 float cap) {
  DYNAMIC_SHARED(shared);
  prompt_forward(y_TQ, qkv_TX, kv_KY, gate_H, T, H, G, d, K, scale, cap, warp_scratch(shared, K));
}

// da = do·v,  rho = Σ a da (the gate's gradient),  ds = gate a (da − rho) scale (less under a cap),  weight = gate a,  dq += ds k
template <class Q>
DEVICE void prompt_backward(Q* dqkv_TX, float* ds_THK, float* weight_THK, float* rho_TH, const ACT* do_TQ, const ACT* qkv_TX,
                            const ACT* kv_KY, const float* gate_H, int T, int H, int G, int d, int K, float scale, float cap,
                            float* a) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  int t = pair / H, h = pair % H, X = (H + 2 * G) * d, Y = 2 * G * d;
  const ACT* q = qkv_TX + (size_t)t * X + h * d;
  const ACT* k = kv_KY + h / (H / G) * d;
  const ACT* dO = do_TQ + (size_t)pair * d;
  float* ds = ds_THK + (size_t)pair * K;
  float* weight = weight_THK + (size_t)pair * K;
  float gate = gate_H[h], rho = 0.f;
  prompt_softmax(a, q, k, K, Y, d, scale, cap);
  for (int l = lane; l < K; l += 32) {
    float da = 0.f;
    for (int c = 0; c < d; c++) da += load(dO + c) * load(k + G * d + (size_t)l * Y + c);
    ds[l] = da;
    rho += a[l] * da;
  }
  rho = warp_sum(rho);
  if (lane == 0) rho_TH[pair] = rho;
  for (int l = lane; l < K; l += 32) {
    weight[l] = gate * a[l];
    ds[l] = weight[l] * (ds[l] - rho) * scale;
    if (cap > 0.f) ds[l] *= cap_slope(prompt_score(q, k + (size_t)l * Y, d, scale, cap), cap);
    a[l] = ds[l];
  }
  __syncwarp();
  if (!dqkv_TX) return;
  Q* dq = dqkv_TX + (size_t)t * X + h * d;
  for (int c = lane; c < d; c += 32) {
    float sum = load(dq + c);
    for (int l = 0; l < K; l++) sum += a[l] * load(k + (size_t)l * Y + c);
    store(dq + c, sum);
  }
}

KERNEL(prompt_backward_q_f32)
(float* dqkv_TX, float* ds_THK, float* weight_THK, float* rho_TH, const ACT* do_TQ, const ACT* qkv_TX, const ACT* kv_KY,
 const float* gate_H, int T, int H, int G, int d, int K, float scale, float cap) {
  DYNAMIC_SHARED(shared);
  float* a = warp_scratch(shared, K);
  prompt_backward(dqkv_TX, ds_THK, weight_THK, rho_TH, do_TQ, qkv_TX, kv_KY, gate_H, T, H, G, d, K, scale, cap, a);
}
KERNEL(prompt_backward_q_bf16)
(u16* dqkv_TX, float* ds_THK, float* weight_THK, float* rho_TH, const ACT* do_TQ, const ACT* qkv_TX, const ACT* kv_KY,
 const float* gate_H, int T, int H, int G, int d, int K, float scale, float cap) {
  DYNAMIC_SHARED(shared);
  float* a = warp_scratch(shared, K);
  prompt_backward(dqkv_TX, ds_THK, weight_THK, rho_TH, do_TQ, qkv_TX, kv_KY, gate_H, T, H, G, d, K, scale, cap, a);
}

// Sums over `span` tokens of one split and the heads of one group: dk = dsᵀ q,  dv = weightᵀ do,  dgate = Σ rho.
KERNEL(prompt_backward_kv)
(float* dkv_NKY, float* dgate_NH, const float* ds_THK, const float* weight_THK, const float* rho_TH, const ACT* do_TQ,
 const ACT* qkv_TX, int T, int H, int G, int d, int K, int span) {
  int split = blockIdx.x, g = blockIdx.y, l0 = blockIdx.z * SLOTS, heads = H / G, X = (H + 2 * G) * d, Y = 2 * G * d;
  int from = split * span, to = from + span < T ? from + span : T;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    float dk[SLOTS], dv[SLOTS];
    for (int l = 0; l < SLOTS; l++) dk[l] = dv[l] = 0.f;
    for (int t = from; t < to; t++) {
      for (int h = g * heads; h < (g + 1) * heads; h++) {
        float q = load(qkv_TX + (size_t)t * X + h * d + c), dO = load(do_TQ + ((size_t)t * H + h) * d + c);
        size_t at = ((size_t)t * H + h) * K + l0;
        for (int l = 0; l < SLOTS && l0 + l < K; l++) {
          dk[l] += ds_THK[at + l] * q;
          dv[l] += weight_THK[at + l] * dO;
        }
      }
    }
    for (int l = 0; l < SLOTS && l0 + l < K; l++) {
      float* out = dkv_NKY + ((size_t)split * K + l0 + l) * Y + g * d + c;
      out[0] = dk[l];
      out[G * d] = dv[l];
    }
  }
  if (l0 > 0) return;
  for (int h = g * heads + threadIdx.x; h < (g + 1) * heads; h += blockDim.x) {
    float sum = 0.f;
    for (int t = from; t < to; t++) sum += rho_TH[(size_t)t * H + h];
    dgate_NH[(size_t)split * H + h] = sum;
  }
}
// y[i] = Σ over the splits, in their order.
KERNEL(sum_splits)(float* y, const float* parts, int splits, u64 length) {
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= length) return;
  float sum = 0.f;
#pragma unroll 8  // so that many loads are under way
  for (int n = 0; n < splits; n++) sum += parts[n * length + i];
  y[i] = sum;
}
