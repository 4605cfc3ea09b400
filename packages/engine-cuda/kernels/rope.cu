// Rotary positions in place on queries and keys, half-split layout (Hugging Face). cos_sin: per token d/2 cosines, then d/2 sines.
#include "common.cuh"

// N pairs of numbers at once; heads are those of queries and keys, values stay.
template <int N>
DEVICE void rope_row(ACT* row, const float* cos_sin, int heads, int half, float sign) {
  int pieces = half / N;
  for (int i = threadIdx.x; i < heads * pieces; i += blockDim.x) {
    int head = i / pieces, c = (i - head * pieces) * N;
    ACT* at = row + head * 2 * half + c;
    float a[N], b[N], cosine[N], sine[N];
    load_some<N>(a, at);
    load_some<N>(b, at + half);
    load_some<N>(cosine, cos_sin + c);
    load_some<N>(sine, cos_sin + half + c);
    for (int n = 0; n < N; n++) {
      float turned = a[n] * cosine[n] - b[n] * (sign * sine[n]);
      b[n] = b[n] * cosine[n] + a[n] * (sign * sine[n]);
      a[n] = turned;
    }
    store_some<N>(at, a);
    store_some<N>(at + half, b);
  }
}
// `sign` is 1, or −1 to rotate back. One block a token.
KERNEL(rope)(ACT* qkv_TX, const float* cos_sin_Td, int heads, int d, int X, float sign) {
  ACT* row = qkv_TX + (size_t)blockIdx.x * X;
  const float* cos_sin = cos_sin_Td + (size_t)blockIdx.x * d;
  if (d / 2 % WIDE == 0 && X % WIDE == 0) rope_row<WIDE>(row, cos_sin, heads, d / 2, sign);
  else rope_row<1>(row, cos_sin, heads, d / 2, sign);
}
