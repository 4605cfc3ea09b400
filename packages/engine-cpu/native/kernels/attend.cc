// What causal, cached and prompt attention share: a block of query rows against a run of keys, lanes across query rows.
//
//   s[j, q] = k[j]·q        p[j, q] = exp(s·scale − max_j(s)·scale)        o[q] = Σ_j p[j, q]·v[j] / Σ_j p[j, q]
//
// Under a soft cap scores are scaled and capped first (cap_scores), and the scale of what follows is 1.
//
// A block holds query rows of one key/value head: row r is token r / per, head r mod per of the `per` = H / G heads that read
// it. Every sum ascends in its index (component, key), one multiply-add at a time, and keys that a row does not see add an
// exact zero: a row's bits do not depend on the rows beside it, nor on whether keys come from a cache.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr int QB = PV * VL;  // query rows of a block

template <int R, int V>
static void product_tile(long K, const float* a, long am, long ak, const float* b, long ldb, float* c, long ldc, bool add) {
  vf sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sums[r][v] = add ? load(c + r * ldc + v * VL) : vf{};
  }
  for (long k = 0; k < K; k++) {
    vf right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) right[v] = load(b + v * VL);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const vf left = splat(a[r * am]);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sums[r][v] = fma(left, right[v], sums[r][v]);
    }
    a += ak;
    b += ldb;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(c + r * ldc + v * VL, sums[r][v]);
  }
}

template <int V>
static void product_rows(long M, long K, const float* a, long am, long ak, const float* b, long ldb, float* c, long ldc,
                         bool add) {
  long m = 0;
  for (; m + PR <= M; m += PR) product_tile<PR, V>(K, a + m * am, am, ak, b, ldb, c + m * ldc, ldc, add);
  for (; m + 2 <= M; m += 2) product_tile<2, V>(K, a + m * am, am, ak, b, ldb, c + m * ldc, ldc, add);
  for (; m < M; m++) product_tile<1, V>(K, a + m * am, am, ak, b, ldb, c + m * ldc, ldc, add);
}

// C[m, n] (+)= Σ_k A[m·am + k·ak] · B[k, n] for N columns, a multiple of VL.
static void product(long M, long N, long K, const float* a, long am, long ak, const float* b, long ldb, float* c, long ldc,
                    bool add) {
  long n = 0;
  for (; n + PV * VL <= N; n += PV * VL) product_rows<PV>(M, K, a, am, ak, b + n, ldb, c + n, ldc, add);
  for (; n < N; n += VL) product_rows<1>(M, K, a, am, ak, b + n, ldb, c + n, ldc, add);
}

// Rows of d numbers, readable in whole vectors.
struct Rows {
  const float* at;
  long stride;
};

// `count` rows as they lie, or copied to `out` (count × round_up(d, VL), zeros behind d) if whole vectors would read
// past their end, or if they are read often enough that dense rows repay the copy.
static Rows whole_rows(Rows rows, long count, long d, bool dense, float* out) {
  const long width = round_up(d, VL);
  if (!dense && d == width) return rows;
  for (long j = 0; j < count; j++) {
    const float* row = rows.at + j * rows.stride;
    for (long i = 0; i < d; i += VL) store(out + j * width + i, load_n(row + i, least((long)VL, d - i)));
  }
  return {out, width};
}

// Query rows [from, from + rows) out of rows of `width` numbers a token (queries inside qkv, or o); zeros up to QB rows.
static void gather_queries(float* out, const float* tokens, long width, long from, long rows, long per, long d) {
  const long dp = round_up(d, VL);
  for (long r = 0; r < QB; r++) {
    const float* row = tokens + (from + r) / per * width + (from + r) % per * d;
    for (long i = 0; i < d; i += VL) store(out + r * dp + i, r < rows ? load_n(row + i, least((long)VL, d - i)) : vf{});
  }
}

// [QB][dp] → [dp][QB]
static void transpose_queries(float* out, const float* rows, long dp) {
  for (long r = 0; r < QB; r += VL) {
    for (long i = 0; i < dp; i += VL) {
      vf block[VL];
      for (int l = 0; l < VL; l++) block[l] = load(rows + (r + l) * dp + i);
      transpose<VL>(block);
      for (int l = 0; l < VL; l++) store(out + (i + l) * QB + r, block[l]);
    }
  }
}

// Keys that each row of a block sees: [first, last], in every vector of lanes; none for rows beyond the block.
struct Sight {
  vi first[PV], last[PV];
  long from, to;            // keys that any row sees
  long allFrom, allTo;      // keys that every row sees
};

// `token` is the place in its sequence of the first query row's token, which is row `row` of `rows` in all.
static Sight sight_of(long token, long row, long rows, long per, long window) {
  Sight s;
  for (int v = 0; v < PV; v++) {
    for (int l = 0; l < VL; l++) {
      const long r = v * VL + l;
      const long last = token + (row % per + r) / per;
      s.last[v][l] = r < rows ? (int32_t)last : -1;
      s.first[v][l] = window > 0 && last >= window ? (int32_t)(last - window + 1) : 0;
    }
  }
  const long end = token + (row % per + rows - 1) / per;
  s.from = window > 0 ? most(0l, token - window + 1) : 0;
  s.to = end + 1;
  s.allFrom = window > 0 ? most(0l, end - window + 1) : 0;
  s.allTo = rows == QB ? token + 1 : 0;
  return s;
}

// Without a mask: each of `rows` rows sees the first `tokens` keys.
static Sight sight_of_all(long rows, long tokens) {
  Sight s;
  for (int v = 0; v < PV; v++) {
    for (int l = 0; l < VL; l++) s.first[v][l] = 0, s.last[v][l] = v * VL + l < rows ? (int32_t)(tokens - 1) : -1;
  }
  s.from = s.allFrom = 0;
  s.to = tokens;
  s.allTo = rows == QB ? tokens : 0;
  return s;
}

ZG_INLINE vi seen(const Sight& s, int v, long key) {
  const vi j = splat_int((int32_t)key);
  return (j >= s.first[v]) & (j <= s.last[v]);
}

// Scores [to − from][QB] into unnormalised weights, in place; rows that see no key get zeros. `vectors` of QB are in use.
static void soften(float* scores, const Sight& s, int vectors, float scale, vf (&max)[PV], vf (&sum)[PV]) {
  const vf none = splat(-__builtin_inff());
  for (int v = 0; v < vectors; v++) max[v] = none, sum[v] = vf{};
  for (long j = s.from; j < s.to; j++) {
    float* row = scores + (j - s.from) * QB;
    const bool all = j >= s.allFrom && j < s.allTo;
    for (int v = 0; v < vectors; v++) {
      const vf score = load(row + v * VL);
      max[v] = greater(all ? score : (seen(s, v, j) ? score : none), max[v]);
    }
  }
  for (int v = 0; v < vectors; v++) max[v] *= splat(scale);
  for (long j = s.from; j < s.to; j++) {
    float* row = scores + (j - s.from) * QB;
    const bool all = j >= s.allFrom && j < s.allTo;
    for (int v = 0; v < vectors; v++) {
      vf p = exp(fma(load(row + v * VL), splat(scale), -max[v]));
      if (!all) p = seen(s, v, j) ? p : vf{};
      sum[v] += p;
      store(row + v * VL, p);
    }
  }
}

// Scores [count][QB] under the soft cap, in place: s = cap · tanh(k·q·scale / cap). `slopes`, if wanted, get ds / d(k·q).
static void cap_scores(float* scores, float* slopes, long count, int vectors, float scale, float cap) {
  for (long j = 0; j < count; j++) {
    for (int v = 0; v < vectors; v++) {
      const long at = j * QB + v * VL;
      const vf share = tanh(load(scores + at) * splat(scale / cap));
      store(scores + at, splat(cap) * share);
      if (slopes) store(slopes + at, splat(scale) * (splat(1.0f) - share * share));
    }
  }
}

// Gradients [count][QB] of capped scores to those of k·q, in place.
static void uncap_gradients(float* ds, const float* slopes, long count, int vectors) {
  for (long j = 0; j < count; j++) {
    for (int v = 0; v < vectors; v++) store(ds + j * QB + v * VL, load(ds + j * QB + v * VL) * load(slopes + j * QB + v * VL));
  }
}

}  // namespace ZG_ISA
}  // namespace zg
