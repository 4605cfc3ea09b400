// Trained vectors beside frozen maps, by set: token t has those of set s = rowOf[t]. A thread sums a column over the tokens of its
// set, ascending, in blocks of 256 of them: the same bits whatever other sets there are, without atomics.
#include "common.cuh"

// y = scale · (u + bias) + residual; u + residual for a token of no set
LAUNCH(scale_shift, rows, T, N)
KERNEL(scale_shift)
(float* y_TN, ACT* also_y_TN, const ACT* u_TN, const float* scale_SN, const float* bias_SN, const float* residual_TN, const int* rowOf_T, int N) {
  size_t at = (size_t)blockIdx.x * N;
  int s = rowOf_T[blockIdx.x];
  for (int n = threadIdx.x; n < N; n += blockDim.x) {
    float y = load(u_TN + at + n);
    if (s >= 0) y = scale_SN[(size_t)s * N + n] * (y + bias_SN[(size_t)s * N + n]);
    if (residual_TN) y += residual_TN[at + n];
    y_TN[at + n] = y;
    if (also_y_TN) store(also_y_TN + at + n, y);
  }
}

// du = scale · dy,  dscale = Σ dy · (u + bias),  dbias = Σ du; the threads of the first set write du of tokens of no set too
LAUNCH(scale_shift_backward, numbers, S, N)
KERNEL(scale_shift_backward)
(ACT* du_TN, float* dscale_SN, float* dbias_SN, const ACT* dy_TN, const ACT* u_TN, const float* scale_SN, const float* bias_SN, const int* rowOf_T, int T, int N, int S) {
  u64 own = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (own >= (u64)S * N) return;
  int s = (int)(own / N), n = (int)(own % N), tokens = 0;
  float scale = scale_SN[own], bias = bias_SN[own];
  float dscale = 0.f, dbias = 0.f, block_dscale = 0.f, block_dbias = 0.f;
  for (int t = 0; t < T; t++) {
    size_t at = (size_t)t * N + n;
    if (rowOf_T[t] < 0 && s == 0) store(du_TN + at, load(dy_TN + at));
    if (rowOf_T[t] != s) continue;
    float dy = load(dy_TN + at), du = scale * dy;
    store(du_TN + at, du);
    block_dscale += dy * (load(u_TN + at) + bias);
    block_dbias += du;
    if (++tokens % 256) continue;
    dscale += block_dscale;
    dbias += block_dbias;
    block_dscale = block_dbias = 0.f;
  }
  dscale_SN[own] = dscale + block_dscale;
  dbias_SN[own] = dbias + block_dbias;
}

// dweight = Σ dy · x · rstd
LAUNCH(rms_norm_weight_backward, numbers, S, D)
KERNEL(rms_norm_weight_backward)
(float* dweight_SD, const ACT* dy_TD, const float* x_TD, const float* rstd_T, const int* rowOf_T, int T, int D, int S) {
  u64 own = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (own >= (u64)S * D) return;
  int s = (int)(own / D), d = (int)(own % D), tokens = 0;
  float sum = 0.f, block = 0.f;
  for (int t = 0; t < T; t++) {
    if (rowOf_T[t] != s) continue;
    size_t at = (size_t)t * D + d;
    block += load(dy_TD + at) * (x_TD[at] * rstd_T[t]);
    if (++tokens % 256) continue;
    sum += block;
    block = 0.f;
  }
  dweight_SD[own] = sum + block;
}
