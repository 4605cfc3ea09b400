// Zero-init attention of LLaMA-Adapter (arXiv:2303.16199 §3.2): the prompts have a softmax of their own, no mask and no
// rotation, and their part is multiplied by the gate of the head.
//
//   y_TQ[t, h] = o_TQ[t, h] + gate[h] · c[t, h],   c = Σ_j S[j] · vp[j, g(h)],   S = softmax_j(q[t, h]·kp[j, g(h)] / √d)
//
// Backward, with dS[j] = do·vp[j]:
//   dgate[h] = Σ_t Σ_j S·dS,   dZ[j] = gate·S[j]·(dS[j] − Σ_m S[m]·dS[m])/√d,
//   dvp[j] = Σ gate·S[j]·do,   dkp[j] = Σ dZ[j]·q,   dq += Σ_j dZ[j]·kp[j]

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Tokens of one job. Sums over tokens are made per job and then added in order, so it must not depend on the threads.
constexpr long PROMPT_TOKENS = 256;

ZG_INLINE Sight sight_of_prompts(long rows, long K) {
  Sight s = sight_of(K - 1, 0, rows, QB, 0);  // every row sees all K
  s.to = s.allTo = K;
  return s;
}

static bool prompt_attention(Pool* pool, const PromptAttention& a) {
  const auto [T, H, G, d, window] = a.heads;
  (void)window;
  const long X = (H + 2 * G) * d, Q = H * d, Y = 2 * G * d, per = H / G, dp = round_up(d, VL), K = a.K;
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  const long block = QB * dp;
  if (!reserve_threads(pool, 3 * block + K * (QB + dp))) return false;

  auto job = [&, T = T, G = G, d = d](long job, int thread) {
    const long g = job % G, begin = job / G * PROMPT_TOKENS, tokens = least(PROMPT_TOKENS, T - begin);
    float* queries = scratch_of(pool, thread);
    float* across = queries + block;
    float* out = across + block;
    float* scores = out + block;
    const Rows keys = {a.kv_KY + g * d, Y};
    const Rows values = whole_rows({keys.at + G * d, Y}, K, d, true, scores + K * QB);
    const float* gate = a.gate_H + g * per;
    for (long t = begin; t < begin + tokens; t++) {
      const long at = t * Q + g * per * d;
      memcpy(a.y_TQ + at, a.o_TQ + at, 4 * per * d);
    }
    bool open = false;
    for (long h = 0; h < per; h++) open |= gate[h] != 0;
    if (!open) return;
    for (long row = 0; row < tokens * per; row += QB) {
      const long rows = least((long)QB, tokens * per - row);
      const int vectors = (int)((rows + VL - 1) / VL);
      gather_queries(queries, a.qkv_TX + begin * X + g * per * d, X, row, rows, per, d);
      transpose_queries(across, queries, dp);
      product(K, vectors * VL, d, keys.at, Y, 1, across, QB, scores, QB, false);
      vf max[PV], sum[PV];
      soften(scores, sight_of_prompts(rows, K), vectors, scale, max, sum);
      product(rows, dp, K, scores, 1, QB, values.at, values.stride, out, dp, false);
      float sums[QB];
      for (int v = 0; v < vectors; v++) store(sums + v * VL, sum[v]);
      for (long r = 0; r < rows; r++) {
        const long h = (row + r) % per;
        if (gate[h] == 0) continue;  // not even the sign of a zero may change: gate 0 is the base, bit for bit
        float* y = a.y_TQ + (begin + (row + r) / per) * Q + (g * per + h) * d;
        const vf share = splat(gate[h] / sums[r]);
        for (long i = 0; i < d; i += VL) {
          const long n = least((long)VL, d - i);
          store_n(y + i, fma(load(out + r * dp + i), share, load_n(y + i, n)), n);
        }
      }
    }
  };
  parallel(pool, (T + PROMPT_TOKENS - 1) / PROMPT_TOKENS * G, job);
  return true;
}

// Weights and dS [K][QB] into gate·S and dZ, in place; `dgates` gets each row's Σ_j S·dS.
static void soften_prompt_backward(float* p, float* dS, long K, int vectors, float scale, const vf* sum, const float* gates,
                                   float* dgates) {
  for (int v = 0; v < vectors; v++) {
    const vf gate = load(gates + v * VL);
    vf mean = {};
    for (long j = 0; j < K; j++) {
      const long at = j * QB + v * VL;
      const vf weight = load(p + at) / sum[v];
      store(p + at, weight);
      mean = fma(weight, load(dS + at), mean);
    }
    store(dgates + v * VL, mean);
    for (long j = 0; j < K; j++) {
      const long at = j * QB + v * VL;
      const vf weight = gate * load(p + at);
      store(p + at, weight);
      store(dS + at, weight * (load(dS + at) - mean) * splat(scale));
    }
  }
}

static bool prompt_attention_backward(Pool* pool, const PromptAttentionBackward& a) {
  const auto [T, H, G, d, window] = a.heads;
  (void)window;
  const long X = (H + 2 * G) * d, Q = H * d, Y = 2 * G * d, per = H / G, width = round_up(d, VL), K = a.K;
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  const long block = QB * width, span = K * width, chunks = (T + PROMPT_TOKENS - 1) / PROMPT_TOKENS;
  const long each = 2 * span + per;  // dkp, dvp, dgate of one job
  float* partial = scratch(pool, PARTIAL, chunks * G * each);
  if (!partial || !reserve_threads(pool, 5 * block + 2 * K * QB + 2 * span)) return false;

  auto job = [&, T = T, G = G, d = d](long job, int thread) {
    const long g = job % G, begin = job / G * PROMPT_TOKENS, tokens = least(PROMPT_TOKENS, T - begin);
    float* at = scratch_of(pool, thread);
    const auto part = [&](long floats) { return (at += floats) - floats; };
    float *q = part(block), *across = part(block), *dO = part(block), *dOAcross = part(block), *dq = part(block);
    float *scores = part(K * QB), *dS = part(K * QB), *copiedKeys = part(span), *copiedValues = part(span);
    float *dk = partial + job * each, *dv = dk + span, *dgate = dv + span;
    memset(dk, 0, 4 * each);
    const Rows keys = whole_rows({a.kv_KY + g * d, Y}, K, d, true, copiedKeys);
    const Rows values = whole_rows({a.kv_KY + (G + g) * d, Y}, K, d, true, copiedValues);
    for (long row = 0; row < tokens * per; row += QB) {
      const long rows = least((long)QB, tokens * per - row);
      const int vectors = (int)((rows + VL - 1) / VL);
      gather_queries(q, a.qkv_TX + begin * X + g * per * d, X, row, rows, per, d);
      transpose_queries(across, q, width);
      gather_queries(dO, a.do_TQ + begin * Q + g * per * d, Q, row, rows, per, d);
      transpose_queries(dOAcross, dO, width);
      product(K, vectors * VL, d, keys.at, width, 1, across, QB, scores, QB, false);
      product(K, vectors * VL, d, values.at, width, 1, dOAcross, QB, dS, QB, false);
      vf max[PV], sum[PV];
      soften(scores, sight_of_prompts(rows, K), vectors, scale, max, sum);
      float gates[QB] = {}, dgates[QB];
      for (long r = 0; r < rows; r++) gates[r] = a.gate_H[g * per + (row + r) % per];
      soften_prompt_backward(scores, dS, K, vectors, scale, sum, gates, dgates);
      for (long r = 0; r < rows; r++) dgate[(row + r) % per] += dgates[r];
      product(K, width, rows, scores, QB, 1, dO, width, dv, width, true);
      product(K, width, rows, dS, QB, 1, q, width, dk, width, true);
      if (!a.dqkv_TX) continue;
      product(rows, width, K, dS, 1, QB, keys.at, width, dq, width, false);
      for (long r = 0; r < rows; r++) {
        float* into = a.dqkv_TX + (begin + (row + r) / per) * X + (g * per + (row + r) % per) * d;
        for (long i = 0; i < d; i += VL) {
          const long n = least((long)VL, d - i);
          store_n(into + i, load_n(into + i, n) + load(dq + r * width + i), n);
        }
      }
    }
  };
  parallel(pool, chunks * G, job);

  // Float64, in the order of the tokens.
  for (long g = 0; g < G; g++) {
    const auto sum = [&, G = G](long at) {
      double total = 0;
      for (long c = 0; c < chunks; c++) total += partial[(c * G + g) * each + at];
      return (float)total;
    };
    for (long j = 0; j < K; j++) {
      for (long i = 0; i < d; i++) {
        a.dkv_KY[j * Y + g * d + i] = sum(j * width + i);
        a.dkv_KY[j * Y + (G + g) * d + i] = sum(span + j * width + i);
      }
    }
    for (long h = 0; h < per; h++) a.dgate_H[g * per + h] = sum(2 * span + h);
  }
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
