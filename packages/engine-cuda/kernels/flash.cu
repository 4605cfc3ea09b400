// Causal grouped-query attention on tensor cores for head dimensions that are multiples of 32 (D of FlashAttention-2,
// arXiv:2307.08691): bf16 inputs, float sums, scores never leave the registers. One block of four warps a tile of 64 rows.
// Queries also attend to the K ≤ 64 prompts of LLaMA-Adapter (arXiv:2303.16199 §3.2) by a softmax of their own, where K > 0:
// one more tile of keys, without mask, before the sum is written (forward) or the causal keys begin (backward).
//
// A warp owns 16 rows of a tile. Of an accumulator tile (16 × 8) lane l holds rows l/4 and l/4 + 8, columns 2·(l%4) and the
// next: `s[j][2·half + e]` is row `16·warp + l/4 + 8·half`, column `8·j + 2·(l%4) + e`. Two of them side by side are, rounded,
// the left factor of the next product. Rows of shared tiles are HD + 8 numbers apart, so that load_tiles meets no bank twice.
#include "common.cuh"

#ifndef HD
#define HD 128
#endif
#define STEPS (HD / 16)  // of a product over the head dimension
#define TILES (HD / 8)   // of an output row
#define PITCH (HD + 8)
#define ROWS 64      // queries of a tile, or keys, or the most prompts
#define FEW_ROWS 32  // queries of a tile in the backward of keys and values

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
DEVICE bool sees(int row, int column, int T, int window) {
  return column <= row && row < T && (window == 0 || column > row - window);
}
// Accumulator tiles 2k and 2k+1 of a warp as a left factor.
DEVICE void rounded(u32* a, float s[][4], int k) {
  a[0] = pack2(s[2 * k][0], s[2 * k][1]);
  a[1] = pack2(s[2 * k][2], s[2 * k][3]);
  a[2] = pack2(s[2 * k + 1][0], s[2 * k + 1][1]);
  a[3] = pack2(s[2 * k + 1][2], s[2 * k + 1][3]);
}

// acc += s · tile over the first `rows` rows of it, s rounded.
DEVICE void add_product(float acc[][4], float s[][4], const u16* tile, int rows, int l) {
#pragma unroll
  for (int i = 0; i < ROWS / 16; i++)
    if (i * 16 < rows) {
      u32 p[4];
      rounded(p, s, i);
#pragma unroll
      for (int j = 0; j < TILES / 2; j++) {
        u32 b[4];
        right_factor_transposed(b, tile, i * 16, j * 16, l);
        mma(acc[2 * j], p, b[0], b[1]);
        mma(acc[2 * j + 1], p, b[2], b[3]);
      }
    }
}
// What a block works on: `first` and the rows behind it, of a sequence of T tokens that begins at token `begin`.
struct Tile {
  int begin, T, first;
};
DEVICE Tile tile_of(const int* tiles_N3, int n) { return {tiles_N3[3 * n], tiles_N3[3 * n + 1], tiles_N3[3 * n + 2]}; }
// Keys and values of the prompts of group g, whole tiles of 16.
DEVICE void load_prompts(u16* k_tile, u16* v_tile, const u16* kv_KY, int g, int G, int K) {
  load_rows(k_tile, kv_KY + g * HD, 2 * G * HD, (K + 15) & ~15, K);
  load_rows(v_tile, kv_KY + (G + g) * HD, 2 * G * HD, (K + 15) & ~15, K);
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

// s = q · k of the warp's queries and the first `columns` keys.
DEVICE void scores(float s[][4], u32 of_q[][4], const u16* k_tile, int columns, int l) {
  for (int j = 0; j < ROWS / 8; j++)
    for (int e = 0; e < 4; e++) s[j][e] = 0.f;
#pragma unroll
  for (int i = 0; i < STEPS; i++)
#pragma unroll
    for (int j = 0; j < ROWS / 16; j++)
      if (j * 16 < columns) {
        u32 b[4];
        right_factor(b, k_tile, j * 16, i * 16, l);
        mma(s[2 * j], of_q[i], b[0], b[1]);
        mma(s[2 * j + 1], of_q[i], b[2], b[3]);
      }
}

// y = softmax(scale q·k) v + gate softmax(scale q·k_prompt) v_prompt; the second part for tokens from … to-1 and gates other than
// 0, all others have the bits that they have without it. Grid: tiles of queries, heads. Dynamic shared memory: 5 tiles (queries;
// keys and values twice, the next being fetched).
BOUNDED_KERNEL(flash_forward, 128)
(u16* y_TQ, float* lse_TH, const u16* qkv_TX, const int* tiles_N3, const u16* kv_KY, const float* gate_H, int H, int G,
 int window, int K, int from, int to, float scale) {
  DYNAMIC_SHARED(shared);
  u16* q_tile = (u16*)shared;
  u16* k_tiles = q_tile + ROWS * PITCH;
  u16* v_tiles = k_tiles + 2 * ROWS * PITCH;
  Tile tile = tile_of(tiles_N3, blockIdx.x);
  int h = blockIdx.y, g = h / (H / G), begin = tile.begin, T = tile.T, m0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, X = (H + 2 * G) * HD;
  const u16* q = qkv_TX + (size_t)begin * X + h * HD;
  const u16* k = qkv_TX + (size_t)begin * X + (H + g) * HD;
  const u16* v = k + G * HD;
  float gate = K > 0 ? gate_H[h] : 0.f;
  int first = window > 0 && m0 + 1 > window ? (m0 + 1 - window) / ROWS : 0, end = ((m0 + ROWS < T ? m0 + ROWS : T) + ROWS - 1) / ROWS;
  load_rows(q_tile, q + (size_t)m0 * X, X, ROWS, T - m0);
  load_rows(k_tiles + (first & 1) * ROWS * PITCH, k + (size_t)first * ROWS * X, X, ROWS, T - first * ROWS);
  load_rows(v_tiles + (first & 1) * ROWS * PITCH, v + (size_t)first * ROWS * X, X, ROWS, T - first * ROWS);
  copy_commit();

  float acc[TILES][4], s[ROWS / 8][4], most[2] = {NEG_INF, NEG_INF}, sum[2] = {0.f, 0.f}, scale2 = scale * LOG2E;
  for (int j = 0; j < TILES; j++)
    for (int e = 0; e < 4; e++) acc[j][e] = 0.f;
  u32 q_factor[STEPS][4];
  for (int n = first; n < end; n++) {
    const u16* k_tile = k_tiles + (n & 1) * ROWS * PITCH;
    const u16* v_tile = v_tiles + (n & 1) * ROWS * PITCH;
    u16* next_k = k_tiles + ((n + 1) & 1) * ROWS * PITCH;
    u16* next_v = v_tiles + ((n + 1) & 1) * ROWS * PITCH;
    if (n + 1 < end) {
      int next = (n + 1) * ROWS;
      load_rows(next_k, k + (size_t)next * X, X, ROWS, T - next);
      load_rows(next_v, v + (size_t)next * X, X, ROWS, T - next);
    } else if (gate != 0.f) load_prompts(next_k, next_v, kv_KY, g, G, K);
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    if (n == first)
      for (int i = 0; i < STEPS; i++) left_factor(q_factor[i], q_tile, w * 16, i * 16, l);
    scores(s, q_factor, k_tile, ROWS, l);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = m0 + w * 16 + (l >> 2) + half * 8;
      float now = most[half];
      for (int j = 0; j < ROWS / 8; j++)
        for (int e = 0; e < 2; e++) {
          float& x = s[j][half * 2 + e];
          x = sees(row, n * ROWS + j * 8 + (l & 3) * 2 + e, T, window) ? x * scale2 : NEG_INF;
          now = fmaxf(now, x);
        }
      now = quad_max(now);
      float base = now == NEG_INF ? 0.f : now, shrink = exp2_of(most[half] - base), more = 0.f;
      most[half] = now;
      for (int j = 0; j < ROWS / 8; j++)
        for (int e = 0; e < 2; e++) {
          float& x = s[j][half * 2 + e];
          x = exp2_of(x - base);
          more += x;
        }
      sum[half] = sum[half] * shrink + more;
      for (int j = 0; j < TILES; j++) {
        acc[j][half * 2] *= shrink;
        acc[j][half * 2 + 1] *= shrink;
      }
    }
    add_product(acc, s, v_tile, ROWS, l);
    __syncthreads();  // the tiles just read are fetched into next
  }
  u32 shares[ROWS / 16][4];
  const u16* v_tile = v_tiles + (end & 1) * ROWS * PITCH;
  if (gate != 0.f) {
    copy_wait<0>();
    __syncthreads();  // the prompts are there
    scores(s, q_factor, k_tiles + (end & 1) * ROWS * PITCH, K, l);
    prompt_softmax(s, K, scale2, l);
    for (int i = 0; i < ROWS / 16; i++) rounded(shares[i], s, i);
  }
  float inverse[2];
  for (int half = 0; half < 2; half++) {
    int row = m0 + w * 16 + (l >> 2) + half * 8;
    sum[half] = quad_sum(sum[half]);
    inverse[half] = 1.f / sum[half];
    if (row < T && (l & 3) == 0) lse_TH[(size_t)(begin + row) * H + h] = (most[half] + log2_of(sum[half])) / LOG2E;
  }
#pragma unroll
  for (int j = 0; j < TILES; j += 2) {
    float more[2][4] = {};
    if (gate != 0.f)
#pragma unroll
      for (int i = 0; i < ROWS / 16; i++)
        if (i * 16 < K) {
          u32 b[4];
          right_factor_transposed(b, v_tile, i * 16, j * 8, l);
          mma(more[0], shares[i], b[0], b[1]);
          mma(more[1], shares[i], b[2], b[3]);
        }
    for (int half = 0; half < 2; half++) {
      int row = m0 + w * 16 + (l >> 2) + half * 8, t = begin + row;
      if (row >= T) continue;
      bool adds = gate != 0.f && t >= from && t < to;
      u16* y = y_TQ + ((size_t)t * H + h) * HD + j * 8 + (l & 3) * 2;
      for (int side = 0; side < 2; side++) {
        float low = acc[j + side][half * 2] * inverse[half], high = acc[j + side][half * 2 + 1] * inverse[half];
        if (adds) low += gate * more[side][half * 2], high += gate * more[side][half * 2 + 1];
        *(u32*)(y + side * 8) = pack2(low, high);
      }
    }
  }
}

// s = q·k and dp = do·v of the warp's queries and the first `columns` keys.
DEVICE void scores_backward(float s[][4], float dp[][4], const u16* q_tile, const u16* do_tile, const u16* k_tile,
                            const u16* v_tile, int columns, int w, int l) {
  for (int j = 0; j < ROWS / 8; j++)
    for (int e = 0; e < 4; e++) s[j][e] = dp[j][e] = 0.f;
#pragma unroll
  for (int i = 0; i < STEPS; i++) {
    u32 of_q[4], of_do[4];
    left_factor(of_q, q_tile, w * 16, i * 16, l);
    left_factor(of_do, do_tile, w * 16, i * 16, l);
#pragma unroll
    for (int j = 0; j < ROWS / 16; j++)
      if (j * 16 < columns) {
        u32 b[4];
        right_factor(b, k_tile, j * 16, i * 16, l);
        mma(s[2 * j], of_q, b[0], b[1]);
        mma(s[2 * j + 1], of_q, b[2], b[3]);
        right_factor(b, v_tile, j * 16, i * 16, l);
        mma(dp[2 * j], of_do, b[0], b[1]);
        mma(dp[2 * j + 1], of_do, b[2], b[3]);
      }
  }
}

// Of the prompts: A = softmax(scale q·k_prompt),  dA = do·v_prompt,  rho = Σ A dA (the gate's gradient),
// dS = gate A (dA − rho) scale,  dq = dS k_prompt; per tile and head dk_prompt = dSᵀ q,  dv_prompt = (gate A)ᵀ do,  Σ rho.
// Of the sequence: delta = do·y − gate rho,  P = exp(scale q·k − lse),  dS = P (do·v − delta) scale,  dq += dS k.
// Without dqkv_TX the prompts alone. N runs over tiles and the heads of a group, those sums are added up behind it. Grid as
// forward; 4 tiles.
BOUNDED_KERNEL(flash_backward_q, 128)
(u16* dqkv_TX, float* delta_TH, float* dkv_NKY, float* dgate_NH, const u16* do_TQ, const u16* qkv_TX, const u16* y_TQ,
 const float* lse_TH, const int* tiles_N3, const u16* kv_KY, const float* gate_H, int H, int G, int window, int K, float scale) {
  DYNAMIC_SHARED(shared);
  SHARED float rhos[4];
  u16* q_tile = (u16*)shared;
  u16* do_tile = q_tile + ROWS * PITCH;
  u16* k_tile = do_tile + ROWS * PITCH;
  u16* v_tile = k_tile + ROWS * PITCH;
  Tile tile = tile_of(tiles_N3, blockIdx.x);
  int h = blockIdx.y, heads = H / G, g = h / heads, begin = tile.begin, T = tile.T, m0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, X = (H + 2 * G) * HD, Q = H * HD;
  float scale2 = scale * LOG2E, acc[TILES][4], s[ROWS / 8][4], dp[ROWS / 8][4], delta[2] = {0.f, 0.f}, lse2[2];
  load_rows(q_tile, qkv_TX + (size_t)(begin + m0) * X + h * HD, X, ROWS, T - m0);
  load_rows(do_tile, do_TQ + (size_t)(begin + m0) * Q + h * HD, Q, ROWS, T - m0);
  if (K > 0) load_prompts(k_tile, v_tile, kv_KY, g, G, K);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  for (int j = 0; j < TILES; j++)
    for (int e = 0; e < 4; e++) acc[j][e] = 0.f;

  if (K > 0) {
    float gate = gate_H[h], rho_sum = 0.f;
    scores_backward(s, dp, q_tile, do_tile, k_tile, v_tile, K, w, l);
    prompt_softmax(s, K, scale2, l);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float rho = 0.f;
      for (int j = 0; j < ROWS / 8; j++)
        for (int e = 0; e < 2; e++) rho += s[j][half * 2 + e] * dp[j][half * 2 + e];
      rho = quad_sum(rho);
      rho_sum += rho;
      delta[half] = -gate * rho;
      for (int j = 0; j < ROWS / 8; j++)
        for (int e = half * 2; e < half * 2 + 2; e++) {
          s[j][e] *= gate;
          dp[j][e] = s[j][e] * (dp[j][e] - rho) * scale;
        }
    }
    add_product(acc, dp, k_tile, K, l);
    // Each row's number is in four lanes.
    rho_sum = warp_sum((l & 3) == 0 ? rho_sum : 0.f);
    if (l == 0) rhos[w] = rho_sum;
    __syncthreads();  // all have read the prompts: dS and gate A take their places
    for (int j = 0; j < ROWS / 8; j++)
      if ((j & ~1) * 8 < K)
        for (int half = 0; half < 2; half++) {
          int at = (w * 16 + (l >> 2) + half * 8) * PITCH + j * 8 + (l & 3) * 2;
          *(u32*)(k_tile + at) = pack2(dp[j][half * 2], dp[j][half * 2 + 1]);
          *(u32*)(v_tile + at) = pack2(s[j][half * 2], s[j][half * 2 + 1]);
        }
    __syncthreads();  // all of dS and gate A are there
    if (threadIdx.x == 0) dgate_NH[(size_t)blockIdx.x * H + h] = rhos[0] + rhos[1] + rhos[2] + rhos[3];
    int Y = 2 * G * HD;
    size_t n = (size_t)blockIdx.x * heads + h % heads;
    // A warp makes 16 columns of 16 prompts at a time.
    for (int piece = w; piece < (K + 15) / 16 * STEPS; piece += 4) {
      int l0 = piece / STEPS * 16, c0 = piece % STEPS * 16;
      float dk[2][4] = {}, dv[2][4] = {};
#pragma unroll
      for (int i = 0; i < ROWS / 16; i++) {
        u32 a[4], b[4];
        left_factor_transposed(a, k_tile, i * 16, l0, l);
        right_factor_transposed(b, q_tile, i * 16, c0, l);
        mma(dk[0], a, b[0], b[1]);
        mma(dk[1], a, b[2], b[3]);
        left_factor_transposed(a, v_tile, i * 16, l0, l);
        right_factor_transposed(b, do_tile, i * 16, c0, l);
        mma(dv[0], a, b[0], b[1]);
        mma(dv[1], a, b[2], b[3]);
      }
      for (int half = 0; half < 2; half++) {
        int prompt = l0 + (l >> 2) + half * 8;
        if (prompt >= K) continue;
        float* out = dkv_NKY + (n * K + prompt) * Y + g * HD + c0 + (l & 3) * 2;
        for (int side = 0; side < 2; side++)
          for (int e = 0; e < 2; e++) {
            out[side * 8 + e] = dk[side][half * 2 + e];
            out[G * HD + side * 8 + e] = dv[side][half * 2 + e];
          }
      }
    }
  }
  if (!dqkv_TX) return;

  const u16* k = qkv_TX + (size_t)begin * X + (H + g) * HD;
  const u16* v = k + G * HD;
  for (int half = 0; half < 2; half++) {
    int r = w * 16 + (l >> 2) + half * 8, row = m0 + r;
    float dot = 0.f;
    if (row < T) {
      const u16* y = y_TQ + ((size_t)(begin + row) * H + h) * HD;
      for (int j = 0; j < TILES; j++) {
        u32 a = *(const u32*)(y + j * 8 + (l & 3) * 2), b = *(const u32*)(do_tile + r * PITCH + j * 8 + (l & 3) * 2);
        dot += low_half(a) * low_half(b) + high_half(a) * high_half(b);
      }
    }
    delta[half] += quad_sum(dot);
    lse2[half] = row < T ? lse_TH[(size_t)(begin + row) * H + h] * LOG2E : 0.f;
    if ((l & 3) == 0 && row < T) delta_TH[(size_t)(begin + row) * H + h] = delta[half];
  }
  int first = window > 0 && m0 + 1 > window ? (m0 + 1 - window) / ROWS * ROWS : 0, end = m0 + ROWS < T ? m0 + ROWS : T;
  for (int n0 = first; n0 < end; n0 += ROWS) {
    __syncthreads();  // all have read the tiles before
    load_rows(k_tile, k + (size_t)n0 * X, X, ROWS, T - n0);
    load_rows(v_tile, v + (size_t)n0 * X, X, ROWS, T - n0);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    scores_backward(s, dp, q_tile, do_tile, k_tile, v_tile, ROWS, w, l);
#pragma unroll
    for (int j = 0; j < ROWS / 8; j++)
      for (int e = 0; e < 4; e++) {
        int row = m0 + w * 16 + (l >> 2) + (e >> 1) * 8, column = n0 + j * 8 + (l & 3) * 2 + (e & 1);
        float p = sees(row, column, T, window) ? exp2_of(s[j][e] * scale2 - lse2[e >> 1]) : 0.f;
        s[j][e] = p * (dp[j][e] - delta[e >> 1]) * scale;
      }
    add_product(acc, s, k_tile, ROWS, l);
  }
  for (int half = 0; half < 2; half++) {
    int row = m0 + w * 16 + (l >> 2) + half * 8;
    if (row >= T) continue;
    u16* dq = dqkv_TX + (size_t)(begin + row) * X + h * HD + (l & 3) * 2;
    for (int j = 0; j < TILES; j++) *(u32*)(dq + j * 8) = pack2(acc[j][half * 2], acc[j][half * 2 + 1]);
  }
}

// dv = Pᵀ do,  dk = dSᵀ q over the heads of a group. Pᵀ is made as k·qᵀ, so that it is a left factor in registers.
// Grid: tiles of keys, key heads. Dynamic shared memory: 2 tiles of keys and values, 2 of FEW_ROWS.
BOUNDED_KERNEL(flash_backward_kv, 128)
(u16* dqkv_TX, const float* delta_TH, const u16* do_TQ, const u16* qkv_TX, const float* lse_TH, const int* tiles_N3,
 int H, int G, int window, float scale) {
  DYNAMIC_SHARED(shared);
  SHARED float lse2[FEW_ROWS];
  SHARED float delta[FEW_ROWS];
  u16* k_tile = (u16*)shared;
  u16* v_tile = k_tile + ROWS * PITCH;
  u16* q_tile = v_tile + ROWS * PITCH;
  u16* do_tile = q_tile + FEW_ROWS * PITCH;
  Tile tile = tile_of(tiles_N3, blockIdx.x);
  int g = blockIdx.y, begin = tile.begin, T = tile.T, n0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, X = (H + 2 * G) * HD, Q = H * HD, heads = H / G;
  float scale2 = scale * LOG2E, dk[TILES][4], dv[TILES][4];
  load_rows(k_tile, qkv_TX + (size_t)(begin + n0) * X + (H + g) * HD, X, ROWS, T - n0);
  load_rows(v_tile, qkv_TX + (size_t)(begin + n0) * X + (H + G + g) * HD, X, ROWS, T - n0);
  for (int j = 0; j < TILES; j++)
    for (int e = 0; e < 4; e++) dk[j][e] = dv[j][e] = 0.f;
  int end = window > 0 && n0 + ROWS - 1 + window < T ? n0 + ROWS - 1 + window : T;
  for (int h = g * heads; h < (g + 1) * heads; h++) {
    for (int m0 = n0; m0 < end; m0 += FEW_ROWS) {
      __syncthreads();  // all have read the tiles before
      load_rows(q_tile, qkv_TX + (size_t)(begin + m0) * X + h * HD, X, FEW_ROWS, T - m0);
      load_rows(do_tile, do_TQ + (size_t)(begin + m0) * Q + h * HD, Q, FEW_ROWS, T - m0);
      if (threadIdx.x < FEW_ROWS) {
        bool there = m0 + threadIdx.x < T;
        size_t at = (size_t)(begin + m0 + threadIdx.x) * H + h;
        lse2[threadIdx.x] = there ? lse_TH[at] * LOG2E : 0.f;
        delta[threadIdx.x] = there ? delta_TH[at] : 0.f;
      }
      copy_commit();
      copy_wait<0>();
      __syncthreads();
      float s[FEW_ROWS / 8][4], dp[FEW_ROWS / 8][4];
      for (int j = 0; j < FEW_ROWS / 8; j++)
        for (int e = 0; e < 4; e++) s[j][e] = dp[j][e] = 0.f;
#pragma unroll
      for (int i = 0; i < STEPS; i++) {
        u32 of_k[4], of_v[4];
        left_factor(of_k, k_tile, w * 16, i * 16, l);
        left_factor(of_v, v_tile, w * 16, i * 16, l);
#pragma unroll
        for (int j = 0; j < FEW_ROWS / 16; j++) {
          u32 b[4];
          right_factor(b, q_tile, j * 16, i * 16, l);
          mma(s[2 * j], of_k, b[0], b[1]);
          mma(s[2 * j + 1], of_k, b[2], b[3]);
          right_factor(b, do_tile, j * 16, i * 16, l);
          mma(dp[2 * j], of_v, b[0], b[1]);
          mma(dp[2 * j + 1], of_v, b[2], b[3]);
        }
      }
#pragma unroll
      for (int j = 0; j < FEW_ROWS / 8; j++)
        for (int e = 0; e < 4; e++) {
          int key = n0 + w * 16 + (l >> 2) + (e >> 1) * 8, r = j * 8 + (l & 3) * 2 + (e & 1);
          float p = sees(m0 + r, key, T, window) ? exp2_of(s[j][e] * scale2 - lse2[r]) : 0.f;
          s[j][e] = p;
          dp[j][e] = p * (dp[j][e] - delta[r]) * scale;
        }
#pragma unroll
      for (int i = 0; i < FEW_ROWS / 16; i++) {
        u32 p[4], ds[4];
        rounded(p, s, i);
        rounded(ds, dp, i);
#pragma unroll
        for (int j = 0; j < TILES / 2; j++) {
          u32 b[4];
          right_factor_transposed(b, do_tile, i * 16, j * 16, l);
          mma(dv[2 * j], p, b[0], b[1]);
          mma(dv[2 * j + 1], p, b[2], b[3]);
          right_factor_transposed(b, q_tile, i * 16, j * 16, l);
          mma(dk[2 * j], ds, b[0], b[1]);
          mma(dk[2 * j + 1], ds, b[2], b[3]);
        }
      }
    }
  }
  for (int half = 0; half < 2; half++) {
    int row = n0 + w * 16 + (l >> 2) + half * 8;
    if (row >= T) continue;
    u16* out_k = dqkv_TX + (size_t)(begin + row) * X + (H + g) * HD + (l & 3) * 2;
    u16* out_v = out_k + G * HD;
    for (int j = 0; j < TILES; j++) {
      *(u32*)(out_k + j * 8) = pack2(dk[j][half * 2], dk[j][half * 2 + 1]);
      *(u32*)(out_v + j * 8) = pack2(dv[j][half * 2], dv[j][half * 2 + 1]);
    }
  }
}
