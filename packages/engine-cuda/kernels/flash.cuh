// Causal grouped-query attention on tensor cores for head dimensions that are multiples of 32 (D of FlashAttention-2,
// arXiv:2307.08691): bf16 inputs, float sums, scores never leave the registers. One block a tile of 64 rows.
// Queries also attend to the K ≤ 64 prompts of LLaMA-Adapter (arXiv:2303.16199 §3.2) of their set, if they are in one, by a
// softmax of their own: one more tile of keys, without mask, before the sum is written (forward) or the causal keys begin
// (backward). Rows of a tile are of one set at most.
//
// Of an accumulator tile (16 × 8) lane l holds rows l/4 and l/4 + 8, columns 2·(l%4) and the next: of the 16 rows from r on,
// `s[j][2·half + e]` is row `r + l/4 + 8·half`, column `8·j + 2·(l%4) + e`. Two of them side by side are, rounded, the left
// factor of the next product. Rows of shared tiles are HD + 8 numbers apart, so that load_tiles meets no bank twice.
// A warp of queries has 32 rows, PARTS of 16: what it loads of keys and values serves both, and shared memory, which bounds
// these kernels, is read half as often for a product.
#pragma once
#include "common.cuh"

#ifndef HD
#define HD 128
#endif
#define STEPS (HD / 16)  // of a product over the head dimension
#define TILES (HD / 8)   // of an output row
#define PITCH (HD + 8)
#define ROWS 64      // queries of a tile, or keys, or the most prompts
#define PARTS 2      // 16 rows each, of a warp of queries

// `rows` rows of HD numbers; those from `valid` on are zeros.
DEVICE void load_rows(u16* tile, const u16* from, int stride, int rows, int valid) {
  for (int i = threadIdx.x; i < rows * TILES; i += blockDim.x) {
    int r = i / TILES, c = i % TILES * 8;
    bool there = r < valid;
    copy_async(tile + r * PITCH + c, from + (size_t)(there ? r : 0) * stride + c, there);
  }
}
DEVICE void left_factor(u32* a, const u16* tile, int row, int k, int l) {
  load_tiles(a, tile + (row + (l & 15)) * PITCH + k + ((l >> 4) << 3));
}
// The same of one that lies as [k][row].
DEVICE void left_factor_transposed(u32* a, const u16* tile, int k, int row, int l) {
  load_tiles_transposed(a, tile + (k + (l & 7) + ((l >> 4) << 3)) * PITCH + row + (((l >> 3) & 1) << 3));
}
// Columns n … n+15 of a right factor that lies as [n][k].
DEVICE void right_factor(u32* b, const u16* tile, int n, int k, int l) {
  load_tiles(b, tile + (n + (l & 7) + ((l >> 4) << 3)) * PITCH + k + (((l >> 3) & 1) << 3));
}
// The same of one that lies as [k][n].
DEVICE void right_factor_transposed(u32* b, const u16* tile, int k, int n, int l) {
  load_tiles_transposed(b, tile + (k + (l & 7) + (((l >> 3) & 1) << 3)) * PITCH + n + ((l >> 4) << 3));
}
DEVICE float quad_sum(float v) {
  v += __shfl_xor_sync(0xffffffffu, v, 1);
  return v + __shfl_xor_sync(0xffffffffu, v, 2);
}
DEVICE float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
  return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}
// The columns that a row of a tile sees, `least` to `last`, or the rows that see a column; counted from some first one.
struct Seen {
  int least, last;
};
DEVICE Seen seen_by(int row, int first_column, int T, int window) {
  int last = row < T ? row - first_column : -1;
  return {window > 0 ? last - window + 1 : 0, last};
}
DEVICE Seen seeing(int column, int first_row, int T, int window) {
  int end = window > 0 && column + window < T ? column + window : T;
  return {column - first_row, end - 1 - first_row};
}
DEVICE bool has(const Seen& seen, int i) { return i >= seen.least && i <= seen.last; }
// Accumulator tiles 2k and 2k+1 of a warp as a left factor.
DEVICE void rounded(u32* a, float s[][4], int k) {
  a[0] = pack2(s[2 * k][0], s[2 * k][1]);
  a[1] = pack2(s[2 * k][2], s[2 * k][3]);
  a[2] = pack2(s[2 * k + 1][0], s[2 * k + 1][1]);
  a[3] = pack2(s[2 * k + 1][2], s[2 * k + 1][3]);
}

// acc += s · tile for each of N parts, over the first `rows` of at most MOST rows of it, s rounded.
template <int N, int MOST>
DEVICE void add_product(float acc[][TILES][4], float s[][MOST / 8][4], const u16* tile, int rows, int l) {
#pragma unroll
  for (int i = 0; i < MOST / 16; i++)
    if (i * 16 < rows) {
      u32 p[N][4];
#pragma unroll
      for (int m = 0; m < N; m++) rounded(p[m], s[m], i);
#pragma unroll
      for (int j = 0; j < TILES / 2; j++) {
        u32 b[4];
        right_factor_transposed(b, tile, i * 16, j * 16, l);
#pragma unroll
        for (int m = 0; m < N; m++) {
          mma(acc[m][2 * j], p[m], b[0], b[1]);
          mma(acc[m][2 * j + 1], p[m], b[2], b[3]);
        }
      }
    }
}
// What a block works on: `first` and the rows behind it, of a sequence of T tokens that begins at token `begin`; the set of
// some of its rows, −1: none, and how many tiles of that set come before it.
struct Tile {
  int begin, T, first, set, n;
};
DEVICE Tile tile_of(const int* tiles_N5, int n) {
  const int* at = tiles_N5 + 5 * n;
  return {at[0], at[1], at[2], at[3], at[4]};
}
// Prompts of one set: keys and values of K prompts, gates, tokens [from, to), and the sums of each tile that a backward makes.
struct Set {
  const u16* kv_KY;
  const float* gate_H;
  float* dkv_NKY;
  float* dgate_NH;
  int K, from, to, unused;
};
// A pass with one set has it among the kernel's arguments, without a table.
DEVICE Set set_of(const Set* sets, const Set& only, const Tile& tile) { return tile.set < 0 ? Set{} : sets ? sets[tile.set] : only; }
DEVICE bool has(const Set& set, int t) { return t >= set.from && t < set.to; }
// Keys or values of prompts, of one of the 2·G heads of their rows, whole tiles of 16.
DEVICE void load_prompts(u16* tile, const u16* kv_KY, int head, int G, int K) {
  load_rows(tile, kv_KY + head * HD, 2 * G * HD, (K + 15) & ~15, K);
}
// Scores become shares of their row; those of no prompt are 0.
DEVICE void prompt_softmax(float s[][4], int K, float scale2, int l) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float most = NEG_INF, sum = 0.f;
    for (int j = 0; j < ROWS / 8; j++)
      if (j * 8 < K)  // the others hold zeros
        for (int e = 0; e < 2; e++) {
          float& x = s[j][half * 2 + e];
          x = j * 8 + (l & 3) * 2 + e < K ? x * scale2 : NEG_INF;
          most = fmaxf(most, x);
        }
    most = quad_max(most);
    for (int j = 0; j < ROWS / 8; j++)
      if (j * 8 < K)
        for (int e = 0; e < 2; e++) {
          float& x = s[j][half * 2 + e];
          x = exp2_of(x - most);
          sum += x;
        }
    float inverse = 1.f / quad_sum(sum);
    for (int j = 0; j < ROWS / 8; j++)
      for (int e = 0; e < 2; e++) s[j][half * 2 + e] *= inverse;
  }
}
