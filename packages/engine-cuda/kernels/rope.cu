// Rotary positions in place on queries and keys, half-split layout (Hugging Face). cos_sin: per token d/2 cosines, then d/2 sines.
#include "common.cuh"

// `sign` is 1, or −1 to rotate back. One thread a pair of numbers; heads are those of queries and keys, values stay.
KERNEL(rope)(ACT* qkv_TX, const float* cos_sin_Td, int T, int heads, int d, int X, float sign) {
  int half = d / 2;
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (u64)T * heads * half) return;
  int c = i % half, head = i / half % heads;
  size_t t = i / half / heads;
  ACT* at = qkv_TX + t * X + head * d + c;
  float cosine = cos_sin_Td[t * d + c], sine = sign * cos_sin_Td[t * d + half + c];
  float a = load(at), b = load(at + half);
  store(at, a * cosine - b * sine);
  store(at + half, b * cosine + a * sine);
}
