// Whole rows: embedding, gathering, scattering, cutting, joining, adding, biases, and changes of type.
#include "common.cuh"

// y[t] = scale · table[ids[t]] (+ residual[t]); one block a row.
template <class W>
DEVICE void embed_rows(float* y_TD, const W* table_VD, const int* ids_T, const float* residual_TD, int D, float scale) {
  size_t t = blockIdx.x;
  const W* row = table_VD + (size_t)ids_T[t] * D;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    y_TD[t * D + d] = scale * load(row + d) + (residual_TD ? residual_TD[t * D + d] : 0.f);
  }
}
KERNEL(embed_f32)(float* y_TD, const float* table_VD, const int* ids_T, const float* residual_TD, int D, float scale) {
  embed_rows(y_TD, table_VD, ids_T, residual_TD, D, scale);
}
KERNEL(embed_bf16)(float* y_TD, const u16* table_VD, const int* ids_T, const float* residual_TD, int D, float scale) {
  embed_rows(y_TD, table_VD, ids_T, residual_TD, D, scale);
}

LAUNCH(gather_rows, rows, R, D)
KERNEL(gather_rows)(float* y_RD, const float* x_TD, const int* rows_R, int D) {
  size_t r = blockIdx.x, row = rows_R[r];
  for (int d = threadIdx.x; d < D; d += blockDim.x) y_RD[r * D + d] = x_TD[row * D + d];
}
// Onto zeros. next[r] is the r behind it that has the same row, or −1; all but the first r of a row have rows[r] = −1.
KERNEL(scatter_rows)(float* dx_TD, const float* dy_RD, const int* rows_R, const int* next_R, int D) {
  int first = blockIdx.x, row = rows_R[first];
  if (row < 0) return;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float sum = dy_RD[(size_t)first * D + d];
    for (int r = next_R[first]; r >= 0; r = next_R[r]) sum += dy_RD[(size_t)r * D + d];
    dx_TD[(size_t)row * D + d] = sum;
  }
}

// Row t of x is row t of a, then row t of b.
LAUNCH(split_columns, rows, T, X)
KERNEL(split_columns)(ACT* a_TA, ACT* b_TB, const ACT* x_TX, int A, int B, int X) {
  size_t t = blockIdx.x;
  for (int i = threadIdx.x; i < X; i += blockDim.x) {
    if (i < A) a_TA[t * A + i] = x_TX[t * X + i];
    else b_TB[t * B + i - A] = x_TX[t * X + i];
  }
}
LAUNCH(join_columns, rows, T, X)
KERNEL(join_columns)(ACT* x_TX, const ACT* a_TA, const ACT* b_TB, int A, int B, int X) {
  size_t t = blockIdx.x;
  for (int i = threadIdx.x; i < X; i += blockDim.x) x_TX[t * X + i] = i < A ? a_TA[t * A + i] : b_TB[t * B + i - A];
}

LAUNCH(add_scaled, numbers, T, D)
KERNEL(add_scaled)(float* sum_TD, const float* x_TD, const float* y_TD, int T, int D, float factor) {
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < (u64)T * D) sum_TD[i] = x_TD[i] + factor * y_TD[i];
}

// y[t] = factor[t] · x[t]
LAUNCH(scale_rows, rows, T, D)
KERNEL(scale_rows)(ACT* y_TD, const ACT* x_TD, const float* factor_T, int D) {
  size_t at = (size_t)blockIdx.x * D;
  float factor = factor_T[blockIdx.x];
  for (int d = threadIdx.x; d < D; d += blockDim.x) store(y_TD + at + d, factor * load(x_TD + at + d));
}
// dx[t] = factor[t] · dy[t],  dfactor[t] = dy[t] · x[t]
LAUNCH(scale_rows_backward, rows, T, D)
KERNEL(scale_rows_backward)
(ACT* dx_TD, float* dfactor_T, const ACT* dy_TD, const ACT* x_TD, const float* factor_T, int D) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  float factor = factor_T[blockIdx.x], sum = 0.f;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float dy = load(dy_TD + at + d);
    sum += dy * load(x_TD + at + d);
    store(dx_TD + at + d, factor * dy);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) dfactor_T[blockIdx.x] = sum;
}

KERNEL(add_bias_f32)(float* y_TN, const float* bias_N, int N) {
  size_t t = blockIdx.x;
  for (int n = threadIdx.x; n < N; n += blockDim.x) y_TN[t * N + n] += bias_N[n];
}
KERNEL(add_bias_bf16)(u16* y_TN, const float* bias_N, int N) {
  size_t t = blockIdx.x;
  for (int n = threadIdx.x; n < N; n += blockDim.x) store(y_TN + t * N + n, load(y_TN + t * N + n) + bias_N[n]);
}

KERNEL(to_bf16)(u16* y, const float* x, u64 length) {
  u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * WIDE;
  float v[WIDE];
  if (i + WIDE <= length) {
    load_some<WIDE>(v, x + i);
    store_some<WIDE>(y + i, v);
  } else
    for (; i < length; i++) store(y + i, x[i]);
}
// A weight that is stored in 8 bits with a scale a row, as a factor of products: y[n, k] = scale[n] · q[n, k]. One block a row.
template <class Q>
DEVICE void widen_rows(ACT* y_NK, const float* scale_N, const Q* q_NK, int K) {
  size_t n = blockIdx.x;
  float scale = scale_N[n];
  for (int k = threadIdx.x; k < K; k += blockDim.x) store(y_NK + n * K + k, scale * load(q_NK + n * K + k));
}
KERNEL(widen_i8)(ACT* y_NK, const float* scale_N, const Integer* q_NK, int K) { widen_rows(y_NK, scale_N, q_NK, K); }
KERNEL(widen_f8)(ACT* y_NK, const float* scale_N, const Float* q_NK, int K) { widen_rows(y_NK, scale_N, q_NK, K); }

// The same of blocks of four bits along a row (core's formats/four_bits.ts): a scale, then 16 bytes for each 32 numbers, of which byte
// i holds number i in its low bits and number i + 16 in its high ones. `levels` is what the 16 codes stand for.
template <class Scale>
DEVICE void widen_blocks(ACT* y_NK, const unsigned char* w_N, int K, int numbers, const float* levels) {
  __syncthreads();
  size_t n = blockIdx.x, bytes = sizeof(Scale) + numbers / 2;
  const unsigned char* row = w_N + n * ((K + numbers - 1) / numbers) * bytes;
  for (int k = threadIdx.x; k < K; k += blockDim.x) {
    const unsigned char* block = row + k / numbers * bytes;
    int codes = block[sizeof(Scale) + k % numbers / 32 * 16 + k % 16];
    store(y_NK + n * K + k, load((const Scale*)block) * levels[k & 16 ? codes >> 4 : codes & 15]);
  }
}
DEVICE float nf4_level(int code) {
  const float levels[16] = {-1.f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
                            -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.f,
                            0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
                            0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.f};
  return levels[code];
}
KERNEL(widen_nf4)(ACT* y_NK, const unsigned char* w_N, int K) {
  SHARED float levels[16];
  if (threadIdx.x < 16) levels[threadIdx.x] = nf4_level(threadIdx.x);
  widen_blocks<float>(y_NK, w_N, K, 64, levels);
}
KERNEL(widen_i4)(ACT* y_NK, const unsigned char* w_N, int K) {
  SHARED float levels[16];
  if (threadIdx.x < 16) levels[threadIdx.x] = (float)((int)threadIdx.x - 8);
  widen_blocks<Half>(y_NK, w_N, K, 32, levels);
}

KERNEL(to_f32)(float* y, const u16* x, u64 length) {
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < length) y[i] = load(x + i);
}
