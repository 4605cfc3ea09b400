// Gradient sums in fixed point, with the bits of core's addFixedPoint (packages/core/src/sum/fixed_point.ts): unit 2⁻⁴⁸, ties to even.
#include "common.cuh"

// sum[i] += rint(g[i] · 2⁴⁸); a number that is not finite or not below `limit` adds 0. bad: how many a block left out.
KERNEL(add_fixed_point)(u64* sum, float* bad_B, const float* g, u64 length, float limit) {
  SHARED float shared[32];
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  double units = i < length ? (double)g[i] * 281474976710656.0 : 0.0, most = (double)limit * 281474976710656.0;
  bool fits = units > -most && units < most;  // NaN fails both
  if (i < length && fits) sum[i] += (u64)to_integer(units);
  float bad = block_sum(fits ? 0.f : 1.f, shared);
  if (threadIdx.x == 0) bad_B[blockIdx.x] = bad;
}
