// Gated delta rule behind a short causal convolution; core's kernels/gated_delta.ts has the formulas. A row of Sᵀ is a warp's: its
// A numbers lie in the lanes, and it goes through the sequence by itself. All in float32.
//
// J key heads of A ≤ 256 numbers, N value heads of B, L taps, C = 2·J·A + N·B channels. u_TC: behind convolution and silu.
#include "common.cuh"

#define CHANNELS 8  // of a lane: 256 / 32
#define DELTA_EPS 1e-6f

DEVICE float sigmoid(float z) { return 1.f / (1.f + exp2_of(-z * LOG2E)); }
// max(z, 0) + ln(1 + e^−|z|), the latter as 2·artanh(y / (2 + y)) of y ≤ 1.
DEVICE float softplus(float z) {
  float y = exp2_of((z < 0.f ? z : -z) * LOG2E), s = y / (2.f + y), p = 1.f / 17.f;
  for (int i = 15; i > 0; i -= 2) p = p * s * s + 1.f / (float)i;
  return (z > 0.f ? z : 0.f) + 2.f * s * p;
}
DEVICE float decay_of(float a, float rate, float bias) {
  return exp2_of(-exp2_of(rate * LOG2E) * softplus(a + bias) * LOG2E);
}

// The sum in front of silu of channel c at token t, which is number i of its sequence.
DEVICE float convolved(const float* x_TC, const float* conv_CL, const float* before, int t, int i, int c, int C, int L) {
  float sum = 0.f;
  for (int tap = 0; tap < L; tap++) {
    int back = L - 1 - tap;
    if (i >= back) sum += conv_CL[c * L + tap] * x_TC[(size_t)(t - back) * C + c];
    else if (before) sum += conv_CL[c * L + tap] * before[(size_t)(L - 1 + i - back) * C + c];
  }
  return sum;
}

// One block a token. states_S: of each sequence, or null; a sequence that starts at 0 begins anew.
KERNEL(delta_convolve)
(float* u_TC, const float* x_TC, const float* conv_CL, const u64* states_S, const int* starts_S, const int* cu_seqlens, int S, int C, int L) {
  int t = blockIdx.x, s = sequence_of(cu_seqlens, S, t);
  const float* before = states_S && starts_S[s] > 0 ? (const float*)states_S[s] : (const float*)0;
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    float z = convolved(x_TC, conv_CL, before, t, t - cu_seqlens[s], c, C, L);
    u_TC[(size_t)t * C + c] = z * sigmoid(z);
  }
}

// Queries and keys of u as they enter: y = u / √((|u|² + ε)·divisor), A for queries, 1 for keys. One warp a token and head, 2·J heads.
KERNEL(delta_units)(float* unit_T2JA, const float* u_TC, int T, int J, int A, int C) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * 2 * J) return;
  const float* u = u_TC + (size_t)(pair / (2 * J)) * C + pair % (2 * J) * A;
  float squares = 0.f;
  for (int i = lane; i < A; i += 32) squares += u[i] * u[i];
  squares = warp_sum(squares) + DELTA_EPS;
  float factor = 1.f / sqrtf(pair % (2 * J) < J ? squares * (float)A : squares);
  for (int i = lane; i < A; i += 32) unit_T2JA[(size_t)pair * A + i] = u[i] * factor;
}

// Row j becomes α·row + δ·k; returns v − m.
DEVICE float step_row(float* row, const float* k, float v, float alpha, float beta, int lane, int A) {
  float m = 0.f;
  for (int i = 0, c = lane; c < A; i++, c += 32) m += row[i] * k[c];
  float miss = v - alpha * warp_sum(m), delta = beta * miss;
  for (int i = 0, c = lane; c < A; i++, c += 32) row[i] = alpha * row[i] + delta * k[c];
  return miss;
}

// One warp a sequence, value head and row.
KERNEL(delta_forward)
(float* o_TM, const float* unit_T2JA, const float* u_TC, const float* gates_T2N, const float* rate_N, const float* bias_N,
 const u64* states_S, const int* starts_S, const int* cu_seqlens, int S, int J, int N, int A, int B, int C, int L) {
  int job = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (job >= S * N * B) return;
  int s = job / (N * B), n = job / B % N, j = job % B, key = n * J / N;
  float* kept = states_S ? (float*)states_S[s] + (size_t)(L - 1) * C + ((size_t)n * B + j) * A : (float*)0;
  bool is_continued = kept && starts_S[s] > 0;
  float row[CHANNELS];
  for (int i = 0, c = lane; c < A; i++, c += 32) row[i] = is_continued ? kept[c] : 0.f;
  for (int t = cu_seqlens[s]; t < cu_seqlens[s + 1]; t++) {
    const float* q = unit_T2JA + ((size_t)t * 2 * J + key) * A;
    const float* gates = gates_T2N + (size_t)t * 2 * N;
    float alpha = decay_of(gates[N + n], rate_N[n], bias_N[n]);
    step_row(row, q + J * A, u_TC[(size_t)t * C + 2 * J * A + n * B + j], alpha, sigmoid(gates[n]), lane, A);
    float o = 0.f;
    for (int i = 0, c = lane; c < A; i++, c += 32) o += row[i] * q[c];
    o = warp_sum(o);
    if (lane == 0) o_TM[((size_t)t * N + n) * B + j] = o;
  }
  if (kept)
    for (int i = 0, c = lane; c < A; i++, c += 32) kept[c] = row[i];
}

// The last L − 1 rows of x, for the convolution of the next token. One block a sequence; each thread has channels of its own.
KERNEL(delta_keep)(const u64* states_S, const int* starts_S, const float* x_TC, const int* cu_seqlens, int C, int L) {
  int s = blockIdx.x, begin = cu_seqlens[s], rows = cu_seqlens[s + 1] - begin, all = L - 1;
  int more = rows < all ? rows : all;
  float* kept = (float*)states_S[s];
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    for (int i = 0; i < all - more; i++) kept[(size_t)i * C + c] = starts_S[s] > 0 ? kept[(size_t)(i + more) * C + c] : 0.f;
    for (int i = 0; i < more; i++) kept[(size_t)(all - more + i) * C + c] = x_TC[(size_t)(begin + rows - more + i) * C + c];
  }
}

// Sums over the rows of a head that go in one stripe, each warp's own: rows j with j % stripes its number, in order. `kept_*` holds a
// row at every token of the warp, one more than there are.
KERNEL(delta_backward)
(float* dunit_PT2NA, float* dgate_PT2N, float* du_TC, float* kept_WTA, const float* do_TM, const float* unit_T2JA,
 const float* u_TC, const float* gates_T2N, const float* rate_N, const float* bias_N, const int* cu_seqlens, int S, int T, int J, int N,
 int A, int B, int C, int stripes) {
  int job = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (job >= S * N * stripes) return;
  int s = job / (N * stripes), n = job / stripes % N, stripe = job % stripes, key = n * J / N;
  int begin = cu_seqlens[s], end = cu_seqlens[s + 1];
  float* dunit = dunit_PT2NA + (size_t)stripe * T * 2 * N * A;
  float* dgate = dgate_PT2N + (size_t)stripe * T * 2 * N;
  float* kept = kept_WTA + ((size_t)(n * stripes + stripe) * (T + S) + begin + s) * A;
  for (int t = begin; t < end; t++) {
    for (int c = lane; c < A; c += 32) dunit[((size_t)t * 2 * N + n) * A + c] = dunit[((size_t)t * 2 * N + N + n) * A + c] = 0.f;
    if (lane == 0) dgate[(size_t)t * 2 * N + n] = dgate[(size_t)t * 2 * N + N + n] = 0.f;
  }
  for (int j = stripe; j < B; j += stripes) {
    float row[CHANNELS], d[CHANNELS];
    for (int i = 0, c = lane; c < A; i++, c += 32) kept[c] = row[i] = d[i] = 0.f;
    for (int t = begin; t < end; t++) {
      const float* k = unit_T2JA + ((size_t)t * 2 * J + J + key) * A;
      const float* gates = gates_T2N + (size_t)t * 2 * N;
      float alpha = decay_of(gates[N + n], rate_N[n], bias_N[n]);
      step_row(row, k, u_TC[(size_t)t * C + 2 * J * A + n * B + j], alpha, sigmoid(gates[n]), lane, A);
      for (int i = 0, c = lane; c < A; i++, c += 32) kept[(size_t)(t - begin + 1) * A + c] = row[i];
    }
    for (int t = end - 1; t >= begin; t--) {
      const float* q = unit_T2JA + ((size_t)t * 2 * J + key) * A;
      const float* k = q + J * A;
      const float* gates = gates_T2N + (size_t)t * 2 * N;
      const float* before = kept + (size_t)(t - begin) * A;
      float alpha = decay_of(gates[N + n], rate_N[n], bias_N[n]), beta = sigmoid(gates[n]);
      float dout = do_TM[((size_t)t * N + n) * B + j], m = 0.f, ddelta = 0.f;
      float* dq = dunit + ((size_t)t * 2 * N + n) * A;
      float* dk = dq + (size_t)N * A;
      for (int i = 0, c = lane; c < A; i++, c += 32) {
        m += before[c] * k[c];
        d[i] += dout * q[c];
        dq[c] += dout * before[A + c];
        ddelta += d[i] * k[c];
      }
      float miss = u_TC[(size_t)t * C + 2 * J * A + n * B + j] - alpha * warp_sum(m);
      ddelta = warp_sum(ddelta);
      float dm = -beta * ddelta, dg = 0.f;
      for (int i = 0, c = lane; c < A; i++, c += 32) {
        float decayed = alpha * before[c];
        dk[c] += beta * miss * d[i] + dm * decayed;
        d[i] += dm * k[c];
        dg += d[i] * decayed;
        d[i] *= alpha;
      }
      dg = warp_sum(dg);
      if (lane == 0) {
        du_TC[(size_t)t * C + 2 * J * A + n * B + j] = -dm;
        dgate[(size_t)t * 2 * N + n] += ddelta * miss;
        dgate[(size_t)t * 2 * N + N + n] += dg;
      }
    }
  }
}

// Gradients of the gates, of those of β and ln α. One block a token.
KERNEL(delta_gates)
(float* dgates_T2N, const float* dgate_PT2N, const float* gates_T2N, const float* rate_N, const float* bias_N, int T, int N, int stripes) {
  size_t row = (size_t)blockIdx.x * 2 * N;
  for (int n = threadIdx.x; n < N; n += blockDim.x) {
    float dbeta = 0.f, dg = 0.f;
    for (int p = 0; p < stripes; p++) {
      dbeta += dgate_PT2N[(size_t)p * T * 2 * N + row + n];
      dg += dgate_PT2N[(size_t)p * T * 2 * N + row + N + n];
    }
    float beta = sigmoid(gates_T2N[row + n]);
    dgates_T2N[row + n] = dbeta * beta * (1.f - beta);
    dgates_T2N[row + N + n] = -dg * exp2_of(rate_N[n] * LOG2E) * sigmoid(gates_T2N[row + N + n] + bias_N[n]);
  }
}

// Gradient of u of queries and keys, of those of their units, summed over stripes and the value heads of a key head. One warp a token and head.
KERNEL(delta_units_backward)
(float* du_TC, const float* dunit_PT2NA, const float* u_TC, int T, int J, int N, int A, int C, int stripes) {
  int pair = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (pair >= T * 2 * J) return;
  int t = pair / (2 * J), head = pair % (2 * J), per = N / J;
  const float* u = u_TC + (size_t)t * C + head * A;
  float dy[CHANNELS], squares = 0.f, share = 0.f;
  for (int i = 0, c = lane; c < A; i++, c += 32) {
    dy[i] = 0.f;
    for (int n = head % J * per; n < (head % J + 1) * per; n++) {
      size_t at = (((size_t)t * 2 + head / J) * N + n) * A + c;
      for (int p = 0; p < stripes; p++) dy[i] += dunit_PT2NA[(size_t)p * T * 2 * N * A + at];
    }
    squares += u[c] * u[c];
    share += u[c] * dy[i];
  }
  squares = warp_sum(squares) + DELTA_EPS;
  share = warp_sum(share) / squares;
  float factor = 1.f / sqrtf(head < J ? squares * (float)A : squares);
  for (int i = 0, c = lane; c < A; i++, c += 32) du_TC[(size_t)t * C + head * A + c] = factor * (dy[i] - share * u[c]);
}

// du becomes the gradient of the sums in front of silu. One block a token.
KERNEL(delta_silu_backward)(float* du_TC, const float* x_TC, const float* conv_CL, const int* cu_seqlens, int S, int C, int L) {
  int t = blockIdx.x, i = t - cu_seqlens[sequence_of(cu_seqlens, S, t)];
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    float z = convolved(x_TC, conv_CL, (const float*)0, t, i, c, C, L), s = sigmoid(z);
    du_TC[(size_t)t * C + c] *= s * (1.f + z * (1.f - s));
  }
}

// One block a token.
KERNEL(delta_convolve_backward)(float* dx_TC, const float* du_TC, const float* conv_CL, const int* cu_seqlens, int S, int C, int L) {
  int t = blockIdx.x, end = cu_seqlens[sequence_of(cu_seqlens, S, t) + 1];
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    float sum = 0.f;
    for (int back = 0; back < L && t + back < end; back++) sum += conv_CL[c * L + L - 1 - back] * du_TC[(size_t)(t + back) * C + c];
    dx_TC[(size_t)t * C + c] = sum;
  }
}
