// Cross-entropy of one chunk of labelled tokens from its logits. One block a row.
#include "common.cuh"

// nll = log Σ exp(z) − z[label];  hit: the label is the lowest id of the largest logit;  dz = scale · (softmax(z) − [label])
KERNEL(cross_entropy)
(float* nll_R, float* hit_R, ACT* dz_RV, const float* z_RV, const int* labels_R, int V, float scale) {
  SHARED float shared[32];
  size_t r = blockIdx.x;
  const float* z = z_RV + r * V;
  int label = labels_R[r];
  float own = z[label], most = NEG_INF, sum = 0.f, better = 0.f;
  for (int v = threadIdx.x; v < V; v += blockDim.x) most = fmaxf(most, z[v]);
  most = block_max(most, shared);
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
    store(dz_RV + r * V + v, scale * (v == label ? p - 1.f : p));
  }
}
