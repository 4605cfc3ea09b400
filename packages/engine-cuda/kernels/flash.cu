// Forward of flash attention, with what the prompts add.
#include "flash.cuh"

// s = q · k of N parts of queries, rows from `row` on, and the first `columns` keys.
template <int N>
DEVICE void scores(float s[][ROWS / 8][4], const u16* q_tile, int row, const u16* k_tile, int columns, int l) {
  for (int m = 0; m < N; m++)
    for (int j = 0; j < ROWS / 8; j++)
      for (int e = 0; e < 4; e++) s[m][j][e] = 0.f;
#pragma unroll
  for (int i = 0; i < STEPS; i++) {
    u32 a[N][4];
#pragma unroll
    for (int m = 0; m < N; m++) left_factor(a[m], q_tile, row + m * 16, i * 16, l);
#pragma unroll
    for (int j = 0; j < ROWS / 16; j++)
      if (j * 16 < columns) {
        u32 b[4];
        right_factor(b, k_tile, j * 16, i * 16, l);
#pragma unroll
        for (int m = 0; m < N; m++) {
          mma(s[m][2 * j], a[m], b[0], b[1]);
          mma(s[m][2 * j + 1], a[m], b[2], b[3]);
        }
      }
  }
}

// One row's scores, those of `half`, become shares of all up to now: what came before shrinks with its maximum.
DEVICE void softmax_so_far(float s[][4], float acc[][4], float& most, float& sum, int half, const Seen& seen, float scale2) {
  float now = most;
  for (int j = 0; j < ROWS / 8; j++)
    for (int e = 0; e < 2; e++) {
      float& x = s[j][half * 2 + e];
      x = has(seen, j * 8 + e) ? x * scale2 : NEG_INF;
      now = fmaxf(now, x);
    }
  now = quad_max(now);
  float base = now == NEG_INF ? 0.f : now, shrink = exp2_of(most - base), more = 0.f;
  most = now;
  for (int j = 0; j < ROWS / 8; j++)
    for (int e = 0; e < 2; e++) {
      float& x = s[j][half * 2 + e];
      x = exp2_of(x - base);
      more += x;
    }
  sum = sum * shrink + more;
  for (int j = 0; j < TILES; j++) {
    acc[j][half * 2] *= shrink;
    acc[j][half * 2 + 1] *= shrink;
  }
}

// y = softmax(scale q·k) v + gate softmax(scale q·k_prompt) v_prompt; the second part for tokens of a set and gates other than
// 0, all others have the bits that they have without it. Grid: tiles of queries, heads. Dynamic shared memory: 3 tiles (queries,
// keys, values). Values are fetched while keys are multiplied, the next keys while values are.
BOUNDED_KERNEL(flash_forward, 64)
(u16* y_TQ, float* lse_TH, const u16* qkv_TX, const int* tiles_N5, int H, int G, int window, float scale,
 const Set* sets, const u16* kv_KY, const float* gate_H, int K1, int from, int to) {
  DYNAMIC_SHARED(shared);
  u16* q_tile = (u16*)shared;
  u16* k_tile = q_tile + ROWS * PITCH;
  u16* v_tile = k_tile + ROWS * PITCH;
  Tile tile = tile_of(tiles_N5, blockIdx.x);
  Set set = set_of(sets, {kv_KY, gate_H, 0, 0, K1, from, to, 0}, tile);
  int h = blockIdx.y, g = h / (H / G), begin = tile.begin, T = tile.T, m0 = tile.first;
  int l = threadIdx.x & 31, own = (threadIdx.x >> 5) * 16 * PARTS, X = (H + 2 * G) * HD;
  const u16* k = qkv_TX + (size_t)begin * X + (H + g) * HD;
  const u16* v = k + G * HD;
  int K = set.K;
  int first = window > 0 && m0 + 1 > window ? (m0 + 1 - window) / ROWS : 0, end = ((m0 + ROWS < T ? m0 + ROWS : T) + ROWS - 1) / ROWS;
  load_rows(q_tile, qkv_TX + (size_t)(begin + m0) * X + h * HD, X, ROWS, T - m0);
  load_rows(k_tile, k + (size_t)first * ROWS * X, X, ROWS, T - first * ROWS);
  copy_commit();

  float acc[PARTS][TILES][4], s[PARTS][ROWS / 8][4], most[PARTS][2], sum[PARTS][2], scale2 = scale * LOG2E;
  for (int m = 0; m < PARTS; m++)
    for (int j = 0; j < TILES; j++)
      for (int e = 0; e < 4; e++) acc[m][j][e] = 0.f;
  for (int m = 0; m < PARTS; m++)
    for (int half = 0; half < 2; half++) most[m][half] = NEG_INF, sum[m][half] = 0.f;
  for (int n = first; n < end; n++) {
    copy_wait<0>();
    __syncthreads();  // the keys are there, and all have read the values before
    load_rows(v_tile, v + (size_t)n * ROWS * X, X, ROWS, T - n * ROWS);
    copy_commit();
    scores<PARTS>(s, q_tile, own, k_tile, ROWS, l);
#pragma unroll
    for (int m = 0; m < PARTS; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int row = m0 + own + m * 16 + (l >> 2) + half * 8;
        Seen seen = seen_by(row, n * ROWS + (l & 3) * 2, T, window);
        softmax_so_far(s[m], acc[m], most[m][half], sum[m][half], half, seen, scale2);
      }
    copy_wait<0>();
    __syncthreads();  // the values are there, and all have read the keys
    if (n + 1 < end) load_rows(k_tile, k + (size_t)(n + 1) * ROWS * X, X, ROWS, T - (n + 1) * ROWS);
    else if (K > 0) load_prompts(k_tile, set.kv_KY, g, G, K);
    copy_commit();
    add_product<PARTS, ROWS>(acc, s, v_tile, ROWS, l);
  }
  copy_wait<0>();
  // Read again: the loop has no register left for what comes only now.
  tile = tile_of(tiles_N5, blockIdx.x);
  set = set_of(sets, {kv_KY, gate_H, 0, 0, K1, from, to, 0}, tile);
  begin = tile.begin, T = tile.T, m0 = tile.first, K = set.K;
  float gate = K > 0 ? set.gate_H[h] : 0.f;
  if (gate != 0.f) {
    __syncthreads();  // all have read the values
    load_prompts(v_tile, set.kv_KY, G + g, G, K);
    copy_commit();
    copy_wait<0>();
    __syncthreads();  // the prompts are there
  }
#pragma unroll
  for (int m = 0; m < PARTS; m++) {
    u32 shares[ROWS / 16][4];
    if (gate != 0.f) {
      scores<1>(s, q_tile, own + m * 16, k_tile, K, l);
      prompt_softmax(s[0], K, scale2, l);
      for (int i = 0; i < ROWS / 16; i++) rounded(shares[i], s[0], i);
    }
    float inverse[2];
    for (int half = 0; half < 2; half++) {
      int row = m0 + own + m * 16 + (l >> 2) + half * 8;
      float all = quad_sum(sum[m][half]);
      inverse[half] = 1.f / all;
      if (row < T && (l & 3) == 0) lse_TH[(size_t)(begin + row) * H + h] = (most[m][half] + log2_of(all)) / LOG2E;
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
        int row = m0 + own + m * 16 + (l >> 2) + half * 8, t = begin + row;
        if (row >= T) continue;
        bool adds = gate != 0.f && has(set, t);
        u16* y = y_TQ + ((size_t)t * H + h) * HD + j * 8 + (l & 3) * 2;
        for (int side = 0; side < 2; side++) {
          float low = acc[m][j + side][half * 2] * inverse[half], high = acc[m][j + side][half * 2 + 1] * inverse[half];
          if (adds) low += gate * more[side][half * 2], high += gate * more[side][half * 2 + 1];
          *(u32*)(y + side * 8) = pack2(low, high);
        }
      }
    }
  }
}
