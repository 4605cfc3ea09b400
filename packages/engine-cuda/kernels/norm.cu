// RMSNorm and LayerNorm of the residual stream (float) into inner activations, and their backwards. One block a row, N numbers a
// thread at once; weights are frozen. Backwards give their result as inner numbers too, for the product that takes it next.
#include "common.cuh"

#define EACH(D) (int d = threadIdx.x * N; d < D; d += blockDim.x * N)

// rstd = 1 / sqrt(mean(x²) + eps),  y = x · rstd · weight    (arXiv:1910.07467 eq. 4)
template <int N>
DEVICE void rms_norm_row(ACT* y, float* rstd_T, const float* x, const float* weight_D, int D, float eps, float* shared) {
  float squares = 0.f, v[N], w[N];
  for EACH(D) {
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) squares += v[i] * v[i];
  }
  float rstd = 1.f / sqrtf(block_sum(squares, shared) / (float)D + eps);
  if (threadIdx.x == 0) rstd_T[blockIdx.x] = rstd;
  for EACH(D) {
    load_some<N>(v, x + d);
    load_some<N>(w, weight_D + d);
    for (int i = 0; i < N; i++) v[i] = v[i] * rstd * w[i];
    store_some<N>(y + d, v);
  }
}
LAUNCH(rms_norm, rows, T, D)
KERNEL(rms_norm)(ACT* y_TD, float* rstd_T, const float* x_TD, const float* weight_D, int D, float eps) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  if (D % WIDE == 0) rms_norm_row<WIDE>(y_TD + at, rstd_T, x_TD + at, weight_D, D, eps, shared);
  else rms_norm_row<1>(y_TD + at, rstd_T, x_TD + at, weight_D, D, eps, shared);
}

// The same with the weights of each row's set.
LAUNCH(rms_norm_by_set, rows, T, D)
KERNEL(rms_norm_by_set)(ACT* y_TD, float* rstd_T, const float* x_TD, const float* weight_SD, const int* rowOf_T, int D, float eps) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  const float* weight_D = weight_SD + (size_t)rowOf_T[blockIdx.x] * D;
  if (D % WIDE == 0) rms_norm_row<WIDE>(y_TD + at, rstd_T, x_TD + at, weight_D, D, eps, shared);
  else rms_norm_row<1>(y_TD + at, rstd_T, x_TD + at, weight_D, D, eps, shared);
}

// g = dy · weight,  dx = rstd · (g − x · rstd² · mean(g · x)) + residual
template <int N>
DEVICE void rms_norm_backward_row(float* dx, ACT* also, const ACT* dy, const float* x, const float* weight_D, float rstd,
                                  const float* residual, int D, float* shared) {
  float dot = 0.f, g[N], v[N], w[N];
  for EACH(D) {
    load_some<N>(g, dy + d);
    load_some<N>(w, weight_D + d);
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) dot += g[i] * w[i] * v[i];
  }
  float pull = block_sum(dot, shared) / (float)D * rstd * rstd;
  for EACH(D) {
    load_some<N>(g, dy + d);
    load_some<N>(w, weight_D + d);
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) v[i] = rstd * (g[i] * w[i] - v[i] * pull);
    if (residual) {
      load_some<N>(g, residual + d);
      for (int i = 0; i < N; i++) v[i] += g[i];
    }
    store_some<N>(dx + d, v);
    if (also) store_some<N>(also + d, v);
  }
}
LAUNCH(rms_norm_backward, rows, T, D)
KERNEL(rms_norm_backward)
(float* dx_TD, ACT* also_dx_TD, const ACT* dy_TD, const float* x_TD, const float* weight_D, const float* rstd_T, const float* residual_TD, int D) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  const float* residual = residual_TD ? residual_TD + at : residual_TD;
  ACT* also = also_dx_TD ? also_dx_TD + at : also_dx_TD;
  float rstd = rstd_T[blockIdx.x];
  if (D % WIDE == 0) rms_norm_backward_row<WIDE>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, rstd, residual, D, shared);
  else rms_norm_backward_row<1>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, rstd, residual, D, shared);
}

LAUNCH(rms_norm_by_set_backward, rows, T, D)
KERNEL(rms_norm_by_set_backward)
(float* dx_TD, ACT* also_dx_TD, const ACT* dy_TD, const float* x_TD, const float* weight_SD, const float* rstd_T, const float* residual_TD, const int* rowOf_T, int D) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  const float* weight_D = weight_SD + (size_t)rowOf_T[blockIdx.x] * D;
  const float* residual = residual_TD ? residual_TD + at : residual_TD;
  ACT* also = also_dx_TD ? also_dx_TD + at : also_dx_TD;
  float rstd = rstd_T[blockIdx.x];
  if (D % WIDE == 0) rms_norm_backward_row<WIDE>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, rstd, residual, D, shared);
  else rms_norm_backward_row<1>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, rstd, residual, D, shared);
}

// y = (x − mean) · rstd · weight + bias    (arXiv:1607.06450 eq. 3); stats hold mean and rstd of each token.
template <int N>
DEVICE void layer_norm_row(ACT* y, float* stats, const float* x, const float* weight_D, const float* bias_D, int D, float eps,
                           float* shared) {
  float sum = 0.f, squares = 0.f, v[N], w[N], b[N];
  for EACH(D) {
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) sum += v[i];
  }
  float mean = block_sum(sum, shared) / (float)D;
  for EACH(D) {
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) squares += (v[i] - mean) * (v[i] - mean);
  }
  float rstd = 1.f / sqrtf(block_sum(squares, shared) / (float)D + eps);
  if (threadIdx.x == 0) {
    stats[0] = mean;
    stats[1] = rstd;
  }
  for EACH(D) {
    load_some<N>(v, x + d);
    load_some<N>(w, weight_D + d);
    load_some<N>(b, bias_D + d);
    for (int i = 0; i < N; i++) v[i] = (v[i] - mean) * rstd * w[i] + b[i];
    store_some<N>(y + d, v);
  }
}
LAUNCH(layer_norm, rows, T, D)
KERNEL(layer_norm)
(ACT* y_TD, float* stats_T2, const float* x_TD, const float* weight_D, const float* bias_D, int D, float eps) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  float* stats = stats_T2 + 2 * blockIdx.x;
  if (D % WIDE == 0) layer_norm_row<WIDE>(y_TD + at, stats, x_TD + at, weight_D, bias_D, D, eps, shared);
  else layer_norm_row<1>(y_TD + at, stats, x_TD + at, weight_D, bias_D, D, eps, shared);
}

// With x̂ = (x − mean) · rstd and g = dy · weight:  dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)) + residual
template <int N>
DEVICE void layer_norm_backward_row(float* dx, ACT* also, const ACT* dy, const float* x, const float* weight_D, const float* stats,
                                    const float* residual, int D, float* shared) {
  float mean = stats[0], rstd = stats[1], sum = 0.f, dot = 0.f, g[N], v[N], w[N];
  for EACH(D) {
    load_some<N>(g, dy + d);
    load_some<N>(w, weight_D + d);
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) {
      sum += g[i] * w[i];
      dot += g[i] * w[i] * (v[i] - mean) * rstd;
    }
  }
  sum = block_sum(sum, shared) / (float)D;
  dot = block_sum(dot, shared) / (float)D;
  for EACH(D) {
    load_some<N>(g, dy + d);
    load_some<N>(w, weight_D + d);
    load_some<N>(v, x + d);
    for (int i = 0; i < N; i++) v[i] = rstd * (g[i] * w[i] - sum - (v[i] - mean) * rstd * dot);
    if (residual) {
      load_some<N>(g, residual + d);
      for (int i = 0; i < N; i++) v[i] += g[i];
    }
    store_some<N>(dx + d, v);
    if (also) store_some<N>(also + d, v);
  }
}
LAUNCH(layer_norm_backward, rows, T, D)
KERNEL(layer_norm_backward)
(float* dx_TD, ACT* also_dx_TD, const ACT* dy_TD, const float* x_TD, const float* weight_D, const float* stats_T2, const float* residual_TD, int D) {
  SHARED float shared[32];
  size_t at = (size_t)blockIdx.x * D;
  const float* residual = residual_TD ? residual_TD + at : residual_TD;
  ACT* also = also_dx_TD ? also_dx_TD + at : also_dx_TD;
  const float* stats = stats_T2 + 2 * blockIdx.x;
  if (D % WIDE == 0) layer_norm_backward_row<WIDE>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, stats, residual, D, shared);
  else layer_norm_backward_row<1>(dx_TD + at, also, dy_TD + at, x_TD + at, weight_D, stats, residual, D, shared);
}
