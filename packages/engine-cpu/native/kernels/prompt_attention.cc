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

// Tokens of one job. Sums over tokens are made per job and then added in order, so it must not depend on the threads. Jobs
// are counted from the first token of their set, so a set has the same bits whatever else is in the pass.
constexpr long PROMPT_TOKENS = 256;

// Jobs of a set over one key head.
ZG_INLINE long chunks_of(const PromptSet& set) { return (set.to - set.from + PROMPT_TOKENS - 1) / PROMPT_TOKENS; }

// The set that a job of all sets belongs to; `chunk` becomes its number in there.
ZG_INLINE const PromptSet& set_of(const PromptSet* sets, long* chunk) {
  for (; *chunk >= chunks_of(*sets); sets++) *chunk -= chunks_of(*sets);
  return *sets;
}

ZG_INLINE long most_prompts(const PromptSet* sets, long S) {
  long K = 0;
  for (long s = 0; s < S; s++) K = most(K, sets[s].K);
  return K;
}

ZG_INLINE Sight sight_of_prompts(long rows, long K) {
  Sight s = sight_of(K - 1, 0, rows, QB, 0);  // every row sees all K
  s.to = s.allTo = K;
  return s;
}

// Whether a set is one prompt with a key of zeros in this head, as an image is: its weight is 1, whatever the query.
ZG_INLINE bool is_keyless(const PromptSet& set, long g, long d) {
  if (set.K != 1) return false;
  const float* key = set.kv_KY + g * d;
  bool zeros = true;
  for (long i = 0; i < d; i++) zeros &= key[i] == 0;
  return zeros;
}

static bool prompt_attention(Pool* pool, const PromptAttention& a) {
  const auto [T, H, G, d, window, cap] = a.heads;
  (void)window;
  const long X = (H + 2 * G) * d, Q = H * d, Y = 2 * G * d, per = H / G, dp = round_up(d, VL);
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  const long block = QB * dp;
  if (!reserve_threads(pool, 3 * block + most_prompts(a.sets, a.S) * (QB + dp))) return false;
  long chunks = 0, next = 0;
  for (long s = 0; s <= a.S; s++) {  // tokens of no set
    const long until = s < a.S ? a.sets[s].from : T;
    memcpy(a.y_TQ + next * Q, a.o_TQ + next * Q, 4 * (until - next) * Q);
    if (s == a.S) break;
    next = a.sets[s].to;
    chunks += chunks_of(a.sets[s]);
  }

  auto job = [&, G = G, d = d, cap = cap](long job, int thread) {
    long chunk = job / G;
    const PromptSet& set = set_of(a.sets, &chunk);
    const long K = set.K, g = job % G, begin = set.from + chunk * PROMPT_TOKENS, tokens = least(PROMPT_TOKENS, set.to - begin);
    float* queries = scratch_of(pool, thread);
    float* across = queries + block;
    float* out = across + block;
    float* scores = out + block;
    const Rows keys = {set.kv_KY + g * d, Y};
    const Rows values = whole_rows({keys.at + G * d, Y}, K, d, true, scores + K * QB);
    const float* gate = set.gate_H + g * per;
    for (long t = begin; t < begin + tokens; t++) {
      const long at = t * Q + g * per * d;
      memcpy(a.y_TQ + at, a.o_TQ + at, 4 * per * d);
    }
    bool open = false;
    for (long h = 0; h < per; h++) open |= gate[h] != 0;
    if (!open) return;
    if (is_keyless(set, g, d)) {  // the bits of the way below
      const float* value = set.kv_KY + (G + g) * d;
      for (long t = begin; t < begin + tokens; t++) {
        for (long h = 0; h < per; h++) {
          if (gate[h] == 0) continue;
          float* y = a.y_TQ + t * Q + (g * per + h) * d;
          each_vector(d, [&](long i, long n) { store_n(y + i, fma(load_n(value + i, n) + vf{}, splat(gate[h]), load_n(y + i, n)), n); });
        }
      }
      return;
    }
    for (long row = 0; row < tokens * per; row += QB) {
      const long rows = least((long)QB, tokens * per - row);
      const int vectors = (int)((rows + VL - 1) / VL);
      gather_queries(queries, a.qkv_TX + begin * X + g * per * d, X, row, rows, per, d);
      transpose_queries(across, queries, dp);
      product(K, vectors * VL, d, keys.at, Y, 1, across, QB, scores, QB, false);
      vf max[PV], sum[PV];
      if (cap > 0) cap_scores(scores, nullptr, K, vectors, scale, cap);
      soften(scores, sight_of_prompts(rows, K), vectors, cap > 0 ? 1.0f : scale, max, sum);
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
  parallel(pool, chunks * G, job);
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
  const auto [T, H, G, d, window, cap] = a.heads;
  (void)T, (void)window;
  const long X = (H + 2 * G) * d, Q = H * d, Y = 2 * G * d, per = H / G, width = round_up(d, VL);
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  const long block = QB * width, longest = most_prompts(a.sets, a.S);
  const long most_each = 2 * longest * width + per;  // dkp, dvp, dgate of one job, at most
  long chunks = 0;
  for (long s = 0; s < a.S; s++) chunks += chunks_of(a.sets[s]);
  float* partial = scratch(pool, PARTIAL, most(1l, chunks * G * most_each));
  if (!partial || !reserve_threads(pool, 5 * block + 3 * longest * QB + 2 * longest * width)) return false;

  auto job = [&, G = G, d = d, cap = cap](long job, int thread) {
    long chunk = job / G;
    const PromptSet& set = set_of(a.sets, &chunk);
    const long K = set.K, span = K * width, each = 2 * span + per;
    const long g = job % G, begin = set.from + chunk * PROMPT_TOKENS, tokens = least(PROMPT_TOKENS, set.to - begin);
    float* at = scratch_of(pool, thread);
    const auto part = [&](long floats) { return (at += floats) - floats; };
    float *q = part(block), *across = part(block), *dO = part(block), *dOAcross = part(block), *dq = part(block);
    float *scores = part(K * QB), *dS = part(K * QB), *slopes = cap > 0 ? part(K * QB) : nullptr, *copiedKeys = part(span), *copiedValues = part(span);
    float *dk = partial + job * most_each, *dv = dk + span, *dgate = dv + span;
    memset(dk, 0, 4 * each);
    const Rows keys = whole_rows({set.kv_KY + g * d, Y}, K, d, true, copiedKeys);
    const Rows values = whole_rows({set.kv_KY + (G + g) * d, Y}, K, d, true, copiedValues);
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
      float gates[QB] = {}, dgates[QB];
      for (long r = 0; r < rows; r++) gates[r] = set.gate_H[g * per + (row + r) % per];
      if (slopes) cap_scores(scores, slopes, K, vectors, scale, cap);
      const float rest = slopes ? 1.0f : scale;
      soften(scores, sight_of_prompts(rows, K), vectors, rest, max, sum);
      soften_prompt_backward(scores, dS, K, vectors, rest, sum, gates, dgates);
      if (slopes) uncap_gradients(dS, slopes, K, vectors);
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
  long first = 0;
  for (long s = 0; s < a.S; s++) {
    const PromptSet& set = a.sets[s];
    const long own = chunks_of(set), span = set.K * width;
    for (long g = 0; g < G; g++) {
      const auto sum = [&, G = G](long at) {
        double total = 0;
        for (long c = first; c < first + own; c++) total += partial[(c * G + g) * most_each + at];
        return (float)total;
      };
      for (long j = 0; j < set.K; j++) {
        for (long i = 0; i < d; i++) {
          set.dkv_KY[j * Y + g * d + i] = sum(j * width + i);
          set.dkv_KY[j * Y + (G + g) * d + i] = sum(span + j * width + i);
        }
      }
      for (long h = 0; h < per; h++) set.dgate_H[g * per + h] = sum(2 * span + h);
    }
    first += own;
  }
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
