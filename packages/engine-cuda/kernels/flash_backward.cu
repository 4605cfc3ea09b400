// Backward of flash attention and of what the prompts add: queries and prompts in one kernel, keys and values in the other.
#include "flash.cuh"

#define FEW_ROWS 32  // queries of a tile in the kernel of keys and values

// s = q·k and dp = do·v of N parts of queries, rows from `row` on, and the first `columns` of at most MOST keys.
template <int N, int MOST>
DEVICE void scores_backward(float s[][MOST / 8][4], float dp[][MOST / 8][4], const u16* q_tile, const u16* do_tile, int row,
                            const u16* k_tile, const u16* v_tile, int columns, int l) {
  for (int m = 0; m < N; m++)
    for (int j = 0; j < MOST / 8; j++)
      for (int e = 0; e < 4; e++) s[m][j][e] = dp[m][j][e] = 0.f;
#pragma unroll
  for (int i = 0; i < STEPS; i++) {
    u32 of_q[N][4], of_do[N][4];
#pragma unroll
    for (int m = 0; m < N; m++) {
      left_factor(of_q[m], q_tile, row + m * 16, i * 16, l);
      left_factor(of_do[m], do_tile, row + m * 16, i * 16, l);
    }
#pragma unroll
    for (int j = 0; j < MOST / 16; j++)
      if (j * 16 < columns) {
        u32 b[4];
        right_factor(b, k_tile, j * 16, i * 16, l);
#pragma unroll
        for (int m = 0; m < N; m++) {
          mma(s[m][2 * j], of_q[m], b[0], b[1]);
          mma(s[m][2 * j + 1], of_q[m], b[2], b[3]);
        }
        right_factor(b, v_tile, j * 16, i * 16, l);
#pragma unroll
        for (int m = 0; m < N; m++) {
          mma(dp[m][2 * j], of_do[m], b[0], b[1]);
          mma(dp[m][2 * j + 1], of_do[m], b[2], b[3]);
        }
      }
  }
}

// Of the prompts: A = softmax(scale q·k_prompt),  dA = do·v_prompt,  rho = Σ A dA (the gate's gradient),
// dS = gate A (dA − rho) scale,  dq = dS k_prompt; per tile and head dk_prompt = dSᵀ q,  dv_prompt = (gate A)ᵀ do,  Σ rho.
// Of the sequence: delta = do·y − gate rho,  P = exp(scale q·k − lse),  dS = P (do·v − delta) scale,  dq += dS k.
// Without dqkv_TX the prompts alone. N runs over the tiles of a set and the heads of a group, those sums are added up behind
// it. Grid as forward; 4 tiles: queries, their gradients, and keys and values as two stages of FEW_ROWS, or of the prompts.
BOUNDED_KERNEL(flash_backward_q, 64)
(u16* dqkv_TX, float* delta_TH, const u16* do_TQ, const u16* qkv_TX, const u16* y_TQ, const float* lse_TH,
 const int* tiles_N5, int H, int G, int window, float scale, const Set* sets, const u16* kv_KY, const float* gate_H, int K1, int from,
 int to, float* dkv_NKY, float* dgate_NH) {
  DYNAMIC_SHARED(shared);
  SHARED float rhos[2];
  u16* q_tile = (u16*)shared;
  u16* do_tile = q_tile + ROWS * PITCH;
  u16* k_tile = do_tile + ROWS * PITCH;
  u16* v_tile = k_tile + ROWS * PITCH;
  Tile tile = tile_of(tiles_N5, blockIdx.x);
  Set set = set_of(sets, {kv_KY, gate_H, dkv_NKY, dgate_NH, K1, from, to, 0}, tile);
  int K = set.K;
  int h = blockIdx.y, heads = H / G, g = h / heads, begin = tile.begin, T = tile.T, m0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, own = w * 16 * PARTS, X = (H + 2 * G) * HD, Q = H * HD;
  float scale2 = scale * LOG2E, acc[PARTS][TILES][4], delta[PARTS][2], lse2[PARTS][2];
  load_rows(q_tile, qkv_TX + (size_t)(begin + m0) * X + h * HD, X, ROWS, T - m0);
  load_rows(do_tile, do_TQ + (size_t)(begin + m0) * Q + h * HD, Q, ROWS, T - m0);
  if (K > 0) {
    load_prompts(k_tile, set.kv_KY, g, G, K);
    load_prompts(v_tile, set.kv_KY, G + g, G, K);
  }
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  for (int m = 0; m < PARTS; m++) {
    delta[m][0] = delta[m][1] = 0.f;
    for (int j = 0; j < TILES; j++)
      for (int e = 0; e < 4; e++) acc[m][j][e] = 0.f;
  }

  if (K > 0) {
    float gate = set.gate_H[h], rho_sum = 0.f;
    u32 ds[PARTS][ROWS / 8][2], shares[PARTS][ROWS / 8][2];
#pragma unroll
    for (int m = 0; m < PARTS; m++) {
      float s[1][ROWS / 8][4], dp[1][ROWS / 8][4];
      scores_backward<1, ROWS>(s, dp, q_tile, do_tile, own + m * 16, k_tile, v_tile, K, l);
      prompt_softmax(s[0], K, scale2, l);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float rho = 0.f;
        if (!has(set, begin + m0 + own + m * 16 + (l >> 2) + half * 8))
          for (int j = 0; j < ROWS / 8; j++)
            for (int e = half * 2; e < half * 2 + 2; e++) s[0][j][e] = 0.f;
        for (int j = 0; j < ROWS / 8; j++)
          for (int e = 0; e < 2; e++) rho += s[0][j][half * 2 + e] * dp[0][j][half * 2 + e];
        rho = quad_sum(rho);
        rho_sum += rho;
        delta[m][half] = -gate * rho;
        for (int j = 0; j < ROWS / 8; j++) {
          for (int e = half * 2; e < half * 2 + 2; e++) {
            s[0][j][e] *= gate;
            dp[0][j][e] = s[0][j][e] * (dp[0][j][e] - rho) * scale;
          }
          ds[m][j][half] = pack2(dp[0][j][half * 2], dp[0][j][half * 2 + 1]);
          shares[m][j][half] = pack2(s[0][j][half * 2], s[0][j][half * 2 + 1]);
        }
      }
      add_product<1, ROWS>(acc + m, dp, k_tile, K, l);
    }
    // Each row's number is in four lanes.
    rho_sum = warp_sum((l & 3) == 0 ? rho_sum : 0.f);
    if (l == 0) rhos[w] = rho_sum;
    __syncthreads();  // all have read the prompts: dS and gate A take their places
#pragma unroll
    for (int m = 0; m < PARTS; m++)
      for (int j = 0; j < ROWS / 8; j++)
        if ((j & ~1) * 8 < K)
          for (int half = 0; half < 2; half++) {
            int at = (own + m * 16 + (l >> 2) + half * 8) * PITCH + j * 8 + (l & 3) * 2;
            *(u32*)(k_tile + at) = ds[m][j][half];
            *(u32*)(v_tile + at) = shares[m][j][half];
          }
    __syncthreads();  // all of dS and gate A are there
    if (threadIdx.x == 0) set.dgate_NH[(size_t)tile.n * H + h] = rhos[0] + rhos[1];
    int Y = 2 * G * HD;
    size_t n = (size_t)tile.n * heads + h % heads;
    // A warp makes 16 columns of 16 prompts at a time.
    for (int piece = w; piece < (K + 15) / 16 * STEPS; piece += 2) {
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
        float* out = set.dkv_NKY + (n * K + prompt) * Y + g * HD + c0 + (l & 3) * 2;
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
  int first = window > 0 && m0 + 1 > window ? (m0 + 1 - window) / FEW_ROWS * FEW_ROWS : 0, end = m0 + ROWS < T ? m0 + ROWS : T;
  __syncthreads();  // all have read dS and gate A
  load_rows(k_tile, k + (size_t)first * X, X, FEW_ROWS, T - first);
  load_rows(v_tile, v + (size_t)first * X, X, FEW_ROWS, T - first);
  copy_commit();
#pragma unroll
  for (int m = 0; m < PARTS; m++)
    for (int half = 0; half < 2; half++) {
      int r = own + m * 16 + (l >> 2) + half * 8, row = m0 + r;
      float dot = 0.f;
      if (row < T) {
        const u16* y = y_TQ + ((size_t)(begin + row) * H + h) * HD;
        for (int j = 0; j < TILES; j++) {
          u32 a = *(const u32*)(y + j * 8 + (l & 3) * 2), b = *(const u32*)(do_tile + r * PITCH + j * 8 + (l & 3) * 2);
          dot += low_half(a) * low_half(b) + high_half(a) * high_half(b);
        }
      }
      delta[m][half] += quad_sum(dot);
      lse2[m][half] = row < T ? lse_TH[(size_t)(begin + row) * H + h] * LOG2E : 0.f;
      if ((l & 3) == 0 && row < T) delta_TH[(size_t)(begin + row) * H + h] = delta[m][half];
    }
  int stage = 0;
  for (int n0 = first; n0 < end; n0 += FEW_ROWS, stage ^= 1) {
    int next = n0 + FEW_ROWS, behind = (stage ^ 1) * FEW_ROWS * PITCH;
    if (next < end) {
      load_rows(k_tile + behind, k + (size_t)next * X, X, FEW_ROWS, T - next);
      load_rows(v_tile + behind, v + (size_t)next * X, X, FEW_ROWS, T - next);
    }
    copy_commit();
    copy_wait<1>();
    __syncthreads();
    const u16* k_now = k_tile + stage * FEW_ROWS * PITCH;
    const u16* v_now = v_tile + stage * FEW_ROWS * PITCH;
    float s[PARTS][FEW_ROWS / 8][4], dp[PARTS][FEW_ROWS / 8][4];
    scores_backward<PARTS, FEW_ROWS>(s, dp, q_tile, do_tile, own, k_now, v_now, FEW_ROWS, l);
#pragma unroll
    for (int m = 0; m < PARTS; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        Seen seen = seen_by(m0 + own + m * 16 + (l >> 2) + half * 8, n0 + (l & 3) * 2, T, window);
        for (int j = 0; j < FEW_ROWS / 8; j++)
          for (int e = half * 2; e < half * 2 + 2; e++) {
            float p = has(seen, j * 8 + (e & 1)) ? exp2_of(s[m][j][e] * scale2 - lse2[m][half]) : 0.f;
            s[m][j][e] = p * (dp[m][j][e] - delta[m][half]) * scale;
          }
      }
    add_product<PARTS, FEW_ROWS>(acc, s, k_now, FEW_ROWS, l);
    __syncthreads();  // the stage just read is fetched into next
  }
#pragma unroll
  for (int m = 0; m < PARTS; m++)
    for (int half = 0; half < 2; half++) {
      int row = m0 + own + m * 16 + (l >> 2) + half * 8;
      if (row >= T) continue;
      u16* dq = dqkv_TX + (size_t)(begin + row) * X + h * HD + (l & 3) * 2;
      for (int j = 0; j < TILES; j++) *(u32*)(dq + j * 8) = pack2(acc[m][j][half * 2], acc[m][j][half * 2 + 1]);
    }
}

// dv = Pᵀ do,  dk = dSᵀ q over the heads of a group. Pᵀ is made as k·qᵀ, so that it is a left factor in registers.
// Grid: tiles of keys, key heads; a warp has 16 rows. Dynamic shared memory: 4 tiles: keys, values, and queries and their gradients
// as two stages of FEW_ROWS.
BOUNDED_KERNEL(flash_backward_kv, 128)
(u16* dqkv_TX, const float* delta_TH, const u16* do_TQ, const u16* qkv_TX, const float* lse_TH, const int* tiles_N5,
 int H, int G, int window, float scale) {
  DYNAMIC_SHARED(shared);
  SHARED float lse2[2][FEW_ROWS];
  SHARED float delta[2][FEW_ROWS];
  u16* k_tile = (u16*)shared;
  u16* v_tile = k_tile + ROWS * PITCH;
  u16* q_tile = v_tile + ROWS * PITCH;
  u16* do_tile = q_tile + 2 * FEW_ROWS * PITCH;
  Tile tile = tile_of(tiles_N5, blockIdx.x);
  int g = blockIdx.y, begin = tile.begin, T = tile.T, n0 = tile.first;
  int w = threadIdx.x >> 5, l = threadIdx.x & 31, X = (H + 2 * G) * HD, Q = H * HD, heads = H / G;
  float scale2 = scale * LOG2E, dk[TILES][4], dv[TILES][4];
  load_rows(k_tile, qkv_TX + (size_t)(begin + n0) * X + (H + g) * HD, X, ROWS, T - n0);
  load_rows(v_tile, qkv_TX + (size_t)(begin + n0) * X + (H + G + g) * HD, X, ROWS, T - n0);
  for (int j = 0; j < TILES; j++)
    for (int e = 0; e < 4; e++) dk[j][e] = dv[j][e] = 0.f;
  int end = window > 0 && n0 + ROWS - 1 + window < T ? n0 + ROWS - 1 + window : T;
  int each = (end - n0 + FEW_ROWS - 1) / FEW_ROWS, count = each * heads;
  for (int n = -1; n < count; n++) {
    // The next stage is fetched while this one is multiplied.
    if (n + 1 < count) {
      int h = g * heads + (n + 1) / each, m0 = n0 + (n + 1) % each * FEW_ROWS, stage = (n + 1) & 1;
      load_rows(q_tile + stage * FEW_ROWS * PITCH, qkv_TX + (size_t)(begin + m0) * X + h * HD, X, FEW_ROWS, T - m0);
      load_rows(do_tile + stage * FEW_ROWS * PITCH, do_TQ + (size_t)(begin + m0) * Q + h * HD, Q, FEW_ROWS, T - m0);
      if (threadIdx.x < FEW_ROWS) {
        bool there = m0 + threadIdx.x < T;
        size_t at = (size_t)(begin + m0 + threadIdx.x) * H + h;
        lse2[stage][threadIdx.x] = there ? lse_TH[at] * LOG2E : 0.f;
        delta[stage][threadIdx.x] = there ? delta_TH[at] : 0.f;
      }
    }
    copy_commit();
    if (n < 0) continue;
    int m0 = n0 + n % each * FEW_ROWS, stage = n & 1;
    const u16* q_now = q_tile + stage * FEW_ROWS * PITCH;
    const u16* do_now = do_tile + stage * FEW_ROWS * PITCH;
    copy_wait<1>();
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
        right_factor(b, q_now, j * 16, i * 16, l);
        mma(s[2 * j], of_k, b[0], b[1]);
        mma(s[2 * j + 1], of_k, b[2], b[3]);
        right_factor(b, do_now, j * 16, i * 16, l);
        mma(dp[2 * j], of_v, b[0], b[1]);
        mma(dp[2 * j + 1], of_v, b[2], b[3]);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      Seen seen = seeing(n0 + w * 16 + (l >> 2) + half * 8, m0 + (l & 3) * 2, T, window);
      for (int j = 0; j < FEW_ROWS / 8; j++)
        for (int e = half * 2; e < half * 2 + 2; e++) {
          int r = j * 8 + (l & 3) * 2 + (e & 1);
          float p = has(seen, j * 8 + (e & 1)) ? exp2_of(s[j][e] * scale2 - lse2[stage][r]) : 0.f;
          s[j][e] = p;
          dp[j][e] = p * (dp[j][e] - delta[stage][r]) * scale;
        }
    }
#pragma unroll
    for (int i = 0; i < FEW_ROWS / 16; i++) {
      u32 p[4], ds[4];
      rounded(p, s, i);
      rounded(ds, dp, i);
#pragma unroll
      for (int j = 0; j < TILES / 2; j++) {
        u32 b[4];
        right_factor_transposed(b, do_now, i * 16, j * 16, l);
        mma(dv[2 * j], p, b[0], b[1]);
        mma(dv[2 * j + 1], p, b[2], b[3]);
        right_factor_transposed(b, q_now, i * 16, j * 16, l);
        mma(dk[2 * j], ds, b[0], b[1]);
        mma(dk[2 * j + 1], ds, b[2], b[3]);
      }
    }
    __syncthreads();  // the queries just read are fetched into next
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
