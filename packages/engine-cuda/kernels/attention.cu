// Causal grouped-query attention for any head dimension up to 256, over packed tokens or over caches; flash.cu is the fast one.
// One warp a token and head. Lanes hold keys (or queries) when scores are made, channels when they are summed up. A query
// goes over its keys in the same order whether they lie in a cache or not, so both have the same bits.
#include "common.cuh"

#define CHANNELS 8  // of a lane: 256 / 32

DEVICE float dot_of(const ACT* a, const ACT* b, int d) {
  float sum = 0.f;
  for (int c = 0; c < d; c++) sum += load(a + c) * load(b + c);
  return sum;
}

// kv_S: where the keys of each sequence begin, `stride` numbers apart, its values `values` behind them; starts_S: tokens before the packed ones.
KERNEL(attend)
(ACT* o_TQ, float* lse_TH, const ACT* q_TX, int X, const u64* kv_S, int stride, int values, const int* starts_S,
 const int* cu_seqlens, int S, int T, int H, int G, int d, int window, float scale, float cap) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  int t = pair / H, h = pair % H, s = sequence_of(cu_seqlens, S, t);
  int seen = window < 0 ? cu_seqlens[s + 1] : t + 1;  // packed tokens up to here; a window below 0: no mask
  int past = starts_S[s] + seen - cu_seqlens[s], first = window > 0 && past > window ? past - window : 0;
  const ACT* q = q_TX + (size_t)t * X + h * d;
  const ACT* k = (const ACT*)kv_S[s] + h / (H / G) * d;
  const ACT* v = k + values;
  float most = NEG_INF, sum = 0.f, acc[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) acc[i] = 0.f;
  for (int j0 = first; j0 < past; j0 += 32) {
    int j = j0 + lane;
    float score = j < past ? capped(scale * dot_of(q, k + (size_t)j * stride, d), cap) : NEG_INF;
    float now = fmaxf(most, warp_max(score)), shrink = exp2_of((most - now) * LOG2E);
    float p = exp2_of((score - now) * LOG2E);
    most = now;
    sum = sum * shrink + warp_sum(p);
    for (int i = 0; i < CHANNELS; i++) acc[i] *= shrink;
    for (int n = 0; n < 32 && j0 + n < past; n++) {
      float weight = __shfl_sync(0xffffffffu, p, n);
      const ACT* row = v + (size_t)(j0 + n) * stride;
      for (int i = 0, c = lane; c < d; i++, c += 32) acc[i] += weight * load(row + c);
    }
  }
  for (int i = 0, c = lane; c < d; i++, c += 32) store(o_TQ + ((size_t)t * H + h) * d + c, acc[i] / sum);
  if (lane == 0 && lse_TH) lse_TH[t * H + h] = most + log2_of(sum) / LOG2E;
}

// delta = do · o,  P = exp(scale q·k − lse),  dS = P (do·v − delta) scale,  dq = dS k; scores and slopes are those under the cap
KERNEL(attend_backward_q)
(ACT* dqkv_TX, float* delta_TH, const ACT* do_TQ, const ACT* qkv_TX, const ACT* o_TQ, const float* lse_TH,
 const int* cu_seqlens, int S, int T, int H, int G, int d, int window, float scale, float cap) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  int t = pair / H, h = pair % H, X = (H + 2 * G) * d, begin = cu_seqlens[sequence_of(cu_seqlens, S, t)];
  int first = window > 0 && t + 1 - begin > window ? t + 1 - window : begin;
  const ACT* q = qkv_TX + (size_t)t * X + h * d;
  const ACT* k = qkv_TX + (H + h / (H / G)) * d;
  const ACT* v = k + G * d;
  const ACT* dO = do_TQ + ((size_t)t * H + h) * d;
  const ACT* o = o_TQ + ((size_t)t * H + h) * d;
  float delta = 0.f, lse = lse_TH[t * H + h], acc[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) acc[i] = 0.f;
  for (int c = lane; c < d; c += 32) delta += load(dO + c) * load(o + c);
  delta = warp_sum(delta);
  if (lane == 0) delta_TH[t * H + h] = delta;
  for (int j0 = first; j0 <= t; j0 += 32) {
    int j = j0 + lane;
    float ds = 0.f;
    if (j <= t) {
      float score = capped(scale * dot_of(q, k + (size_t)j * X, d), cap);
      float p = exp2_of((score - lse) * LOG2E);
      ds = p * (dot_of(dO, v + (size_t)j * X, d) - delta) * scale * cap_slope(score, cap);
    }
    for (int n = 0; n < 32 && j0 + n <= t; n++) {
      float weight = __shfl_sync(0xffffffffu, ds, n);
      const ACT* row = k + (size_t)(j0 + n) * X;
      for (int i = 0, c = lane; c < d; i++, c += 32) acc[i] += weight * load(row + c);
    }
  }
  for (int i = 0, c = lane; c < d; i++, c += 32) store(dqkv_TX + (size_t)t * X + h * d + c, acc[i]);
}

// dv = Pᵀ do,  dk = dSᵀ q, over the query heads of the group; one warp a token and key head.
KERNEL(attend_backward_kv)
(ACT* dqkv_TX, const float* delta_TH, const ACT* do_TQ, const ACT* qkv_TX, const float* lse_TH, const int* cu_seqlens,
 int S, int T, int H, int G, int d, int window, float scale, float cap) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * G) return;
  int t = pair / G, g = pair % G, X = (H + 2 * G) * d, Q = H * d, end = cu_seqlens[sequence_of(cu_seqlens, S, t) + 1];
  if (window > 0 && t + window < end) end = t + window;
  const ACT* k = qkv_TX + (size_t)t * X + (H + g) * d;
  const ACT* v = k + G * d;
  float dk[CHANNELS], dv[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) dk[i] = dv[i] = 0.f;
  for (int h = g * (H / G); h < (g + 1) * (H / G); h++) {
    const ACT* q = qkv_TX + h * d;
    const ACT* dO = do_TQ + h * d;
    for (int i0 = t; i0 < end; i0 += 32) {
      int row = i0 + lane;
      float p = 0.f, ds = 0.f;
      if (row < end) {
        float score = capped(scale * dot_of(q + (size_t)row * X, k, d), cap);
        p = exp2_of((score - lse_TH[row * H + h]) * LOG2E);
        ds = p * (dot_of(dO + (size_t)row * Q, v, d) - delta_TH[row * H + h]) * scale * cap_slope(score, cap);
      }
      for (int n = 0; n < 32 && i0 + n < end; n++) {
        float of_k = __shfl_sync(0xffffffffu, ds, n), of_v = __shfl_sync(0xffffffffu, p, n);
        const ACT* q_row = q + (size_t)(i0 + n) * X;
        const ACT* do_row = dO + (size_t)(i0 + n) * Q;
        for (int i = 0, c = lane; c < d; i++, c += 32) {
          dk[i] += of_k * load(q_row + c);
          dv[i] += of_v * load(do_row + c);
        }
      }
    }
  }
  ACT* out = dqkv_TX + (size_t)t * X + (H + g) * d;
  for (int i = 0, c = lane; c < d; i++, c += 32) {
    store(out + c, dk[i]);
    store(out + G * d + c, dv[i]);
  }
}

// Appends the keys and values of each token to its sequence's cache. One block a token.
KERNEL(append_to_caches)
(const u64* caches_S, const int* starts_S, const ACT* qkv_TX, const int* cu_seqlens, int S, int Q, int Y) {
  int t = blockIdx.x, s = sequence_of(cu_seqlens, S, t);
  ACT* row = (ACT*)caches_S[s] + (size_t)(starts_S[s] + t - cu_seqlens[s]) * Y;
  for (int y = threadIdx.x; y < Y; y += blockDim.x) row[y] = qkv_TX[(size_t)t * (Q + Y) + Q + y];
}
