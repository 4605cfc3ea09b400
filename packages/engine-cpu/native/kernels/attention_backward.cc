// Backward of causal attention. The weights are made again from the scores and the saved log-sum-exp, a block of query rows
// at a time:
//
//   p[j, q] = exp(k[j]·q·scale − lse[q])        dp[j, q] = v[j]·do[q]        δ[q] = do[q]·o[q]        scale = 1/√d
//   ds[j, q] = p·(dp − δ)·scale (less under a cap),   dq[q] = Σ_j ds·k[j],   dk[j] = Σ_q ds·q[q],   dv[j] = Σ_q p·do[q]
//
// A job is one sequence and key/value head, so that each sum over queries is one thread's and ascends in the query row.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Scores and dp [to − from][QB] into p and ds, in place.
static void soften_backward(float* scores, float* dp, const Sight& s, float scale, const float* lse, const float* delta) {
  vf logSum[PV], mean[PV];
  for (int v = 0; v < PV; v++) logSum[v] = load(lse + v * VL), mean[v] = load(delta + v * VL);
  for (long j = s.from; j < s.to; j++) {
    const long at = (j - s.from) * QB;
    for (int v = 0; v < PV; v++) {
      const vf p = seen(s, v, j) ? exp(fma(load(scores + at + v * VL), splat(scale), -logSum[v])) : vf{};
      store(scores + at + v * VL, p);
      store(dp + at + v * VL, p * (load(dp + at + v * VL) - mean[v]) * splat(scale));
    }
  }
}

ZG_INLINE float dot_rows(const float* a, const float* b, long d) {
  vf sum = {};
  for (long i = 0; i < d; i += VL) {
    const long n = least((long)VL, d - i);
    sum = fma(load_n(a + i, n), load_n(b + i, n), sum);
  }
  return total(sum);
}

static bool attention_backward(Pool* pool, const AttentionBackward& a) {
  const auto [T, H, G, d, window, cap] = a.heads;
  const long X = (H + 2 * G) * d, Q = H * d, per = H / G, width = round_up(d, VL);
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  long longest = 0;
  for (long s = 0; s < a.S; s++) longest = most(longest, (long)(a.cuSeqlens[s + 1] - a.cuSeqlens[s]));
  // Queries and do as rows and transposed, dq; scores, dp and under a cap slopes; keys, values, dk and dv.
  const long block = QB * width, span = longest * width, perScore = cap > 0 ? 3 : 2;
  if (!reserve_threads(pool, 5 * block + perScore * longest * QB + 4 * span)) return false;

  auto job = [&, H = H, G = G, d = d, window = window, cap = cap](long job, int thread) {
    const long s = job / G, g = job % G;
    const long begin = a.cuSeqlens[s], tokens = a.cuSeqlens[s + 1] - begin;
    float* at = scratch_of(pool, thread);
    const auto part = [&](long floats) { return (at += floats) - floats; };
    float *q = part(block), *across = part(block), *dO = part(block), *dOAcross = part(block), *dq = part(block);
    float *scores = part(longest * QB), *dp = part(longest * QB), *slopes = cap > 0 ? part(longest * QB) : nullptr;
    float *copiedKeys = part(span), *copiedValues = part(span), *dk = part(span), *dv = part(span);
    const float* head = a.qkv_TX + begin * X;
    const Rows keys = whole_rows({head + (H + g) * d, X}, tokens, d, true, copiedKeys);
    const Rows values = whole_rows({head + (H + G + g) * d, X}, tokens, d, true, copiedValues);
    memset(dk, 0, 4 * tokens * width);
    memset(dv, 0, 4 * tokens * width);

    const long skipped = a.skips ? a.skips[s] : 0;
    for (long t = begin; t < begin + skipped; t++) memset(a.dqkv_TX + t * X + g * per * d, 0, 4 * per * d);
    for (long row = skipped * per; row < tokens * per; row += QB) {
      const long rows = least((long)QB, tokens * per - row);
      const long lanes = round_up(rows, VL);
      const Sight sight = sight_of(row / per, row, rows, per, window);
      const long count = sight.to - sight.from, from = sight.from * width;
      gather_queries(q, head + g * per * d, X, row, rows, per, d);
      transpose_queries(across, q, width);
      gather_queries(dO, a.do_TQ + begin * Q + g * per * d, Q, row, rows, per, d);
      transpose_queries(dOAcross, dO, width);
      float lse[QB] = {}, delta[QB] = {};
      for (long r = 0; r < rows; r++) {
        const long t = begin + (row + r) / per, h = g * per + (row + r) % per;
        lse[r] = a.lse_TH[t * H + h];
        delta[r] = dot_rows(dO + r * width, a.o_TQ + t * Q + h * d, d);
      }
      product(count, lanes, d, keys.at + from, width, 1, across, QB, scores, QB, false);
      product(count, lanes, d, values.at + from, width, 1, dOAcross, QB, dp, QB, false);
      if (slopes) cap_scores(scores, slopes, count, (int)(lanes / VL), scale, cap);
      soften_backward(scores, dp, sight, slopes ? 1.0f : scale, lse, delta);
      if (slopes) uncap_gradients(dp, slopes, count, (int)(lanes / VL));
      product(rows, width, count, dp, 1, QB, keys.at + from, width, dq, width, false);
      product(count, width, rows, scores, QB, 1, dO, width, dv + from, width, true);
      product(count, width, rows, dp, QB, 1, q, width, dk + from, width, true);
      for (long r = 0; r < rows; r++) {
        const long t = begin + (row + r) / per, h = g * per + (row + r) % per;
        memcpy(a.dqkv_TX + t * X + h * d, dq + r * width, 4 * d);
      }
    }
    for (long j = 0; j < tokens; j++) {
      float* row = a.dqkv_TX + (begin + j) * X + (H + g) * d;
      memcpy(row, dk + j * width, 4 * d);
      memcpy(row + G * d, dv + j * width, 4 * d);
    }
  };
  parallel(pool, a.S * G, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
