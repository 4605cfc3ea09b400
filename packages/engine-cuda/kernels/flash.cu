// Forward of flash attention, with what the prompts add.
#include "flash.cuh"

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

// y = softmax(scale q·k) v + gate softmax(scale q·k_prompt) v_prompt; the second part for tokens of a set and gates other than
// 0, all others have the bits that they have without it. Grid: tiles of queries, heads. Dynamic shared memory: 5 tiles (queries;
// keys and values twice, the next being fetched).
BOUNDED_KERNEL(flash_forward, 128)
(u16* y_TQ, float* lse_TH, const u16* qkv_TX, const int* tiles_N5, int H, int G, int window, float scale,
 const Set* sets, const u16* kv_KY, const float* gate_H, int K1, int from, int to) {
  DYNAMIC_SHARED(shared);
  u16* q_tile = (u16*)shared;
  u16* k_tiles = q_tile + ROWS * PITCH;
  u16* v_tiles = k_tiles + 2 * ROWS * PITCH;
  Tile tile = tile_of(tiles_N5, blockIdx.x);
  Set set = set_of(sets, {kv_KY, gate_H, 0, 0, K1, from, to, 0}, tile);
  int h = blockIdx.y, g = h / (H / G), begin = tile.begin, T = tile.T, m0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, X = (H + 2 * G) * HD;
  const u16* q = qkv_TX + (size_t)begin * X + h * HD;
  const u16* k = qkv_TX + (size_t)begin * X + (H + g) * HD;
  const u16* v = k + G * HD;
  int K = set.K;
  float gate = K > 0 ? set.gate_H[h] : 0.f;
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
    } else if (gate != 0.f) load_prompts(next_k, next_v, set.kv_KY, g, G, K);
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
      bool adds = gate != 0.f && has(set, t);
      u16* y = y_TQ + ((size_t)t * H + h) * HD + j * 8 + (l & 3) * 2;
      for (int side = 0; side < 2; side++) {
        float low = acc[j + side][half * 2] * inverse[half], high = acc[j + side][half * 2 + 1] * inverse[half];
        if (adds) low += gate * more[side][half * 2], high += gate * more[side][half * 2 + 1];
        *(u32*)(y + side * 8) = pack2(low, high);
      }
    }
  }
}
