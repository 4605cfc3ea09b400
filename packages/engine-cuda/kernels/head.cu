// Cross-entropy of one chunk of labelled tokens from its logits. One block a row.
#include "common.cuh"

// nll = log Σ exp(z) − z[label];  hit: the label is the lowest id of the largest logit;  dz = scale · (softmax(z) − [label]), times the
// slope of the cap if there is one: logits come under it first, in place
KERNEL(cross_entropy)
(float* nll_R, float* hit_R, ACT* dz_RV, float* z_RV, const int* labels_R, int V, float scale, float cap) {
  SHARED float shared[32];
  size_t r = blockIdx.x;
  float* z = z_RV + r * V;
  int label = labels_R[r];
  float most = NEG_INF, sum = 0.f, better = 0.f;
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    if (cap > 0.f) z[v] = capped(z[v], cap);
    most = fmaxf(most, z[v]);
  }
  most = block_max(most, shared);  // and all are under the cap
  float own = z[label];
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    sum += exp2_of((z[v] - most) * LOG2E);
    if (z[v] > own || (z[v] == own && v < label)) better += 1.f;
  }
  sum = block_sum(sum, shared);
  better = block_sum(better, shared);
  if (threadIdx.x == 0) {
    nll_R[r] = log2_of(sum) / LOG2E + (most - own);
    hit_R[r] = better == 0.f ? 1.f : 0.f;
  }
  if (!dz_RV) return;
  float inverse = 1.f / sum;
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    float p = exp2_of((z[v] - most) * LOG2E) * inverse;
    store(dz_RV + r * V + v, scale * cap_slope(z[v], cap) * (v == label ? p - 1.f : p));
  }
}

// Of logits that the host reads.
LAUNCH(soft_cap, numbers, T, F)
KERNEL(soft_cap)(float* y_TF, const float* x_TF, int T, int F, float cap) {
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < (u64)T * F) y_TF[i] = capped(x_TF[i], cap);
}
