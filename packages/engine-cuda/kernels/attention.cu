// Causal grouped-query attention for any head dimension up to 256, over packed tokens or over caches; flash.cu is the fast one.
// One warp a token and head. Lanes hold keys (or queries) when scores are made, channels when they are summed up. A query
// goes over its keys in the same order whether they lie in a cache or not; over a cache in parts, so that few queries over many
// keys keep a whole GPU busy: with up to PART_KEYS keys both have the same bits.
#include "common.cuh"

#define CHANNELS 8  // of a lane: 256 / 32

DEVICE float dot_of(const ACT* a, const ACT* b, int d) {
  float sum = 0.f;
  for (int c = 0; c < d; c++) sum += load(a + c) * load(b + c);
  return sum;
}

// What a query has of some keys: their largest score, and relative to it the sum of weights and of weighted values, by channel.
struct Partial {
  float most, sum, acc[CHANNELS];
};
DEVICE Partial of_nothing() {
  Partial p;
  p.most = NEG_INF, p.sum = 0.f;
  for (int i = 0; i < CHANNELS; i++) p.acc[i] = 0.f;
  return p;
}

// Keys [from, to) of a query, by one warp.
DEVICE Partial over_keys(const ACT* q, const ACT* k, const ACT* v, int stride, int from, int to, int d, float scale, float cap) {
  int lane = threadIdx.x & 31;
  Partial r = of_nothing();
  for (int j0 = from; j0 < to; j0 += 32) {
    int j = j0 + lane;
    float score = j < to ? capped(scale * dot_of(q, k + (size_t)j * stride, d), cap) : NEG_INF;
    float now = fmaxf(r.most, warp_max(score)), shrink = exp2_of((r.most - now) * LOG2E);
    float p = exp2_of((score - now) * LOG2E);
    r.most = now;
    r.sum = r.sum * shrink + warp_sum(p);
    for (int i = 0; i < CHANNELS; i++) r.acc[i] *= shrink;
    for (int n = 0; n < 32 && j0 + n < to; n++) {
      float weight = __shfl_sync(0xffffffffu, p, n);
      const ACT* row = v + (size_t)(j0 + n) * stride;
      for (int i = 0, c = lane; c < d; i++, c += 32) r.acc[i] += weight * load(row + c);
    }
  }
  return r;
}

// Adds what the next keys are to what those before them are. Written as multiply-adds, so that all kernels round alike.
DEVICE void merge(Partial& a, const Partial& b) {
  float now = fmaxf(a.most, b.most), keep = exp2_of((a.most - now) * LOG2E), take = exp2_of((b.most - now) * LOG2E);
  a.most = now;
  a.sum = fmaf(a.sum, keep, b.sum * take);
  for (int i = 0; i < CHANNELS; i++) a.acc[i] = fmaf(a.acc[i], keep, b.acc[i] * take);
}

// The keys that a query sees: from `first` to `past`, counted from the beginning of its sequence.
struct Keys {
  int s, first, past;
};
DEVICE Keys keys_of(const int* starts_S, const int* cu_seqlens, int S, int t, int window) {
  int s = sequence_of(cu_seqlens, S, t);
  int seen = window < 0 ? cu_seqlens[s + 1] : t + 1;  // packed tokens up to here; a window below 0: no mask
  int past = starts_S[s] + seen - cu_seqlens[s];
  return {s, window > 0 && past > window ? past - window : 0, past};
}

DEVICE void store_output(ACT* o_TQ, const Partial& p, int pair, int d) {
  for (int i = 0, c = threadIdx.x & 31; c < d; i++, c += 32) store(o_TQ + (size_t)pair * d + c, p.acc[i] / p.sum);
}

// kv_S: where the keys of each sequence begin, `stride` numbers apart, its values `values` behind them; starts_S: tokens before
// the packed ones. `part` keys at a time, from the first one seen on: the sums of each part begin anew.
KERNEL(attend)
(ACT* o_TQ, float* lse_TH, const ACT* q_TX, int X, const u64* kv_S, int stride, int values, const int* starts_S,
 const int* cu_seqlens, int S, int T, int H, int G, int d, int window, float scale, float cap, int part) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  int t = pair / H, h = pair % H;
  Keys seen = keys_of(starts_S, cu_seqlens, S, t, window);
  const ACT* q = q_TX + (size_t)t * X + h * d;
  const ACT* k = (const ACT*)kv_S[seen.s] + h / (H / G) * d;
  int end = seen.past - seen.first > part ? seen.first + part : seen.past;
  Partial all = over_keys(q, k, k + values, stride, seen.first, end, d, scale, cap);
  for (int from = end; from < seen.past; from = end) {
    end = seen.past - from > part ? from + part : seen.past;
    merge(all, over_keys(q, k, k + values, stride, from, end, d, scale, cap));
  }
  store_output(o_TQ, all, pair, d);
  if (lane == 0 && lse_TH) lse_TH[pair] = all.most + log2_of(all.sum) / LOG2E;
}

// The same for few queries over many keys: a warp for each of `count` parts, and then one that merges those of a query in order.
KERNEL(attend_parts)
(float* parts, const ACT* q_TX, int X, const u64* kv_S, int stride, int values, const int* starts_S, const int* cu_seqlens,
 int S, int T, int H, int G, int d, int window, float scale, float cap, int part, int count) {
  int item = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (item >= T * H * count) return;
  int pair = item / count, t = pair / H, h = pair % H;
  Keys seen = keys_of(starts_S, cu_seqlens, S, t, window);
  int from = seen.first + item % count * part;
  if (from >= seen.past) return;
  const ACT* k = (const ACT*)kv_S[seen.s] + h / (H / G) * d;
  int end = seen.past - from > part ? from + part : seen.past;
  Partial own = over_keys(q_TX + (size_t)t * X + h * d, k, k + values, stride, from, end, d, scale, cap);
  float* out = parts + (size_t)item * (d + 2);
  if (lane == 0) out[0] = own.most, out[1] = own.sum;
  for (int i = 0, c = lane; c < d; i++, c += 32) out[2 + c] = own.acc[i];
}
KERNEL(merge_parts)
(ACT* o_TQ, const float* parts, const int* starts_S, const int* cu_seqlens, int S, int T, int H, int d, int window, int part,
 int count) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * H) return;
  Keys seen = keys_of(starts_S, cu_seqlens, S, pair / H, window);
  Partial all = of_nothing();
  for (int n = 0; seen.first + n * part < seen.past; n++) {
    const float* in = parts + ((size_t)pair * count + n) * (d + 2);
    Partial own = of_nothing();
    own.most = in[0], own.sum = in[1];
    for (int i = 0, c = lane; c < d; i++, c += 32) own.acc[i] = in[2 + c];
    if (n == 0) all = own;
    else merge(all, own);
  }
  store_output(o_TQ, all, pair, d);
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
