// Causal grouped-query attention over packed sequences, with an optional sliding window (Mistral, arXiv:2310.06825 §2).
//
//   o_TQ[t, h] = Σ_j p[j] · v[j, g(h)],   p = softmax_j≤t(q[t, h]·k[j, g(h)] / √d),   g(h) = floor(h · G / H)
//
// Without the mask (a window of UNMASKED), j runs over the whole sequence. A job is one sequence and key/value
// head, or every n-th block of its queries if those are too few to occupy all threads; scores exist for the QB query rows of a block. With caches, keys and values are read from there and a query's place counts
// from the start of the cache.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

static bool attention(Pool* pool, const Attention& a) {
  const auto [T, H, G, d, window, cap] = a.heads;
  const long X = (H + 2 * G) * d, Q = H * d, Y = 2 * G * d, per = H / G, dp = round_up(d, VL);
  const float scale = 1.0f / __builtin_sqrtf((float)d);
  long longest = 0;
  for (long s = 0; s < a.S; s++) {
    longest = most(longest, (long)(a.cuSeqlens[s + 1] - a.cuSeqlens[s] + (a.caches ? a.starts[s] : 0)));
  }
  // Queries (rows, then transposed), scores, values, outputs.
  const long block = QB * dp;
  if (!reserve_threads(pool, 3 * block + longest * (QB + dp))) return false;

  const long parts = most(1l, least((T * per / most(a.S, 1l) + QB - 1) / QB, 4 * pool_threads(pool) / most(a.S * G, 1l)));
  auto job = [&, H = H, G = G, d = d, window = window, cap = cap](long job, int thread) {
    const long s = job / parts / G, g = job / parts % G;
    const long begin = a.cuSeqlens[s], tokens = a.cuSeqlens[s + 1] - begin, start = a.caches ? a.starts[s] : 0;
    float* queries = scratch_of(pool, thread);
    float* across = queries + block;
    float* out = across + block;
    float* scores = out + block;
    float* copied = scores + longest * QB;
    const float* q = a.qkv_TX + begin * X + g * per * d;
    const Rows keys = a.caches ? Rows{a.caches[s] + g * d, Y} : Rows{a.qkv_TX + begin * X + (H + g) * d, X};
    const bool dense = tokens * per > 2 * QB;
    const Rows values = whole_rows({keys.at + G * d, keys.stride}, start + tokens, d, dense, copied);

    const long skipped = a.skips ? a.skips[s] * per : 0;
    for (long row = skipped + job % parts * QB; row < tokens * per; row += parts * QB) {
      const long rows = least((long)QB, tokens * per - row);
      const int vectors = (int)((rows + VL - 1) / VL);
      const Sight sight =
          window == UNMASKED ? sight_of_all(rows, tokens) : sight_of(start + row / per, row, rows, per, window);
      const long count = sight.to - sight.from;
      gather_queries(queries, q, X, row, rows, per, d);
      transpose_queries(across, queries, dp);
      product(count, vectors * VL, d, keys.at + sight.from * keys.stride, keys.stride, 1, across, QB, scores, QB, false);
      vf max[PV], sum[PV];
      if (cap > 0) cap_scores(scores, nullptr, count, vectors, scale, cap);
      soften(scores, sight, vectors, cap > 0 ? 1.0f : scale, max, sum);
      product(rows, dp, count, scores, 1, QB, values.at + sight.from * values.stride, values.stride, out, dp, false);
      float sums[QB], maxima[QB];
      for (int v = 0; v < vectors; v++) store(sums + v * VL, sum[v]), store(maxima + v * VL, max[v]);
      for (long r = 0; r < rows; r++) {
        const long t = begin + (row + r) / per, h = g * per + (row + r) % per;
        const vf share = splat(1.0f / sums[r]);
        for (long i = 0; i < d; i += VL) {
          store_n(a.o_TQ + t * Q + h * d + i, load(out + r * dp + i) * share, least((long)VL, d - i));
        }
        if (a.lse_TH) a.lse_TH[t * H + h] = maxima[r] + (float)__builtin_log(sums[r]);
      }
    }
  };
  parallel(pool, a.S * G * parts, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
