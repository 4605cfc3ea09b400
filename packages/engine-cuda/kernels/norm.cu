// RMSNorm and LayerNorm of the residual stream (float) into inner activations, and their backwards. One block a row; weights are frozen.
#include "common.cuh"

// rstd = 1 / sqrt(mean(x²) + eps),  y = x · rstd · weight    (arXiv:1910.07467 eq. 4)
KERNEL(rms_norm)(ACT* y_TD, float* rstd_T, const float* x_TD, const float* weight_D, int D, float eps) {
  SHARED float shared[32];
  size_t t = blockIdx.x;
  const float* x = x_TD + t * D;
  float squares = 0.f;
  for (int d = threadIdx.x; d < D; d += blockDim.x) squares += x[d] * x[d];
  float rstd = 1.f / sqrtf(block_sum(squares, shared) / (float)D + eps);
  if (threadIdx.x == 0) rstd_T[t] = rstd;
  for (int d = threadIdx.x; d < D; d += blockDim.x) store(y_TD + t * D + d, x[d] * rstd * weight_D[d]);
}
// g = dy · weight,  dx = rstd · (g − x · rstd² · mean(g · x)) + residual
KERNEL(rms_norm_backward)
(float* dx_TD, const ACT* dy_TD, const float* x_TD, const float* weight_D, const float* rstd_T, const float* residual_TD, int D) {
  SHARED float shared[32];
  size_t t = blockIdx.x;
  const float* x = x_TD + t * D;
  const ACT* dy = dy_TD + t * D;
  float rstd = rstd_T[t], dot = 0.f;
  for (int d = threadIdx.x; d < D; d += blockDim.x) dot += load(dy + d) * weight_D[d] * x[d];
  float pull = block_sum(dot, shared) / (float)D * rstd * rstd;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float past = residual_TD ? residual_TD[t * D + d] : 0.f;
    dx_TD[t * D + d] = rstd * (load(dy + d) * weight_D[d] - x[d] * pull) + past;
  }
}

// y = (x − mean) · rstd · weight + bias    (arXiv:1607.06450 eq. 3); stats hold mean and rstd of each token.
KERNEL(layer_norm)
(ACT* y_TD, float* stats_T2, const float* x_TD, const float* weight_D, const float* bias_D, int D, float eps) {
  SHARED float shared[32];
  size_t t = blockIdx.x;
  const float* x = x_TD + t * D;
  float sum = 0.f, squares = 0.f;
  for (int d = threadIdx.x; d < D; d += blockDim.x) sum += x[d];
  float mean = block_sum(sum, shared) / (float)D;
  for (int d = threadIdx.x; d < D; d += blockDim.x) squares += (x[d] - mean) * (x[d] - mean);
  float rstd = 1.f / sqrtf(block_sum(squares, shared) / (float)D + eps);
  if (threadIdx.x == 0) {
    stats_T2[2 * t] = mean;
    stats_T2[2 * t + 1] = rstd;
  }
  for (int d = threadIdx.x; d < D; d += blockDim.x) store(y_TD + t * D + d, (x[d] - mean) * rstd * weight_D[d] + bias_D[d]);
}
// With x̂ = (x − mean) · rstd and g = dy · weight:  dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)) + residual
KERNEL(layer_norm_backward)
(float* dx_TD, const ACT* dy_TD, const float* x_TD, const float* weight_D, const float* stats_T2, const float* residual_TD, int D) {
  SHARED float shared[32];
  size_t t = blockIdx.x;
  const float* x = x_TD + t * D;
  const ACT* dy = dy_TD + t * D;
  float mean = stats_T2[2 * t], rstd = stats_T2[2 * t + 1], sum = 0.f, dot = 0.f;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float g = load(dy + d) * weight_D[d];
    sum += g;
    dot += g * (x[d] - mean) * rstd;
  }
  sum = block_sum(sum, shared) / (float)D;
  dot = block_sum(dot, shared) / (float)D;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float past = residual_TD ? residual_TD[t * D + d] : 0.f;
    dx_TD[t * D + d] = rstd * (load(dy + d) * weight_D[d] - sum - (x[d] - mean) * rstd * dot) + past;
  }
}
