// Register tile of the packed GEMM: R × V vectors of C over k steps, operands packed (gemm_pack.cc).
//
//   C[r, n] = (first ? 0 : C[r, n]) + Σ_k A[k, r] · B[k, n]   (+ bias[n] + residual[r, n], with the last block of k)
//
// One step is one float32 of the contraction, or a pair of bf16 (vdpbf16ps). Each sum ascends in k whatever R and V are, so
// the bits of a row do not depend on the rows computed with it.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Memory that tiles bring into L2 while they compute: lines of rows `skip` bytes apart, begun at `at`.
struct Fetch {
  const char* at;
  long rowLeft, row;  // lines
  long skip;          // from behind the last line of a row to the next row
  long left;          // lines of all rows
};
constexpr long FETCH_STEPS = 4;  // between two lines: more at a time would hold up the tile's own reads

struct Tile {
  long k;
  const float* a;  // k × MR steps
  const float* b;  // k × V·VL steps
  float* c;
  long ldc;
  int lanes;  // of the last vector, 1 … VL
  bool first;
  const float* bias;      // null: none; at column 0 of the tile
  const float* residual;  // null: none; at the tile, rows ldc apart
  Fetch* fetch;
  long lines;  // of it, that this tile brings at most
};
using TileFn = void (*)(const Tile&);

template <bool bf16>
ZG_INLINE vf dot(vf sum, vf a, vf b) {
#if defined(__AVX512BF16__)
  if constexpr (bf16) return (vf)_mm512_dpbf16_ps((__m512)sum, bits<__m512bh>(a), bits<__m512bh>(b));
#endif
  return fma(a, b, sum);
}

template <bool bf16, int R, int V>
static void tile(const Tile& t) {
  vf c[R][V];
  const float* a = t.a;
  const float* b = t.b;
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      c[r][v] = vf{};
      __builtin_prefetch(t.c + r * t.ldc + VL * v);
    }
  }
  const auto step = [&] {
    vf row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) row[v] = load(b + VL * v);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const vf left = splat(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) c[r][v] = dot<bf16>(c[r][v], left, row[v]);
    }
    a += MR;
    b += VL * V;
  };
  Fetch fetch = *t.fetch;
  const long stop = fetch.left - least(t.lines, fetch.left);
  long k = t.k;
  for (; k >= FETCH_STEPS; k -= FETCH_STEPS) {
    if (fetch.left > stop) {
      __builtin_prefetch(fetch.at, 0, 2);
      fetch.left--;
      fetch.at += 64;
      if (--fetch.rowLeft == 0) fetch.rowLeft = fetch.row, fetch.at += fetch.skip;
    }
#pragma GCC unroll 4
    for (int i = 0; i < FETCH_STEPS; i++) step();
  }
  for (; k > 0; k--) step();
  *t.fetch = fetch;
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      const int n = v == V - 1 ? t.lanes : VL;
      const long at = r * t.ldc + VL * v;
      vf sum = c[r][v];
      if (n == VL) {
        if (!t.first) sum += load(t.c + at);
        if (t.bias) sum += load(t.bias + VL * v);
        if (t.residual) sum += load(t.residual + at);
        store(t.c + at, sum);
      } else {
        if (!t.first) sum += load_part(t.c + at, n);
        if (t.bias) sum += load_part(t.bias + VL * v, n);
        if (t.residual) sum += load_part(t.residual + at, n);
        store_part(t.c + at, sum, n);
      }
    }
  }
}

// The instance for the given number of rows and vectors.
template <bool bf16, int R = MR, int V = NV>
static TileFn tile_of(int rows, int vectors) {
  if (rows == R && vectors == V) return tile<bf16, R, V>;
  if constexpr (V > 1) {
    if (vectors < V) return tile_of<bf16, R, V - 1>(rows, vectors);
  }
  if constexpr (R > 1) return tile_of<bf16, R - 1, V>(rows, vectors);
  return nullptr;
}

}  // namespace ZG_ISA
}  // namespace zg
