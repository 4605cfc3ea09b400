// Linear map and its activation gradient over a frozen weight; a few rows (decoding) go past the packing.
//
//   y[t, n] = Σ_k x[t, k] · w[n, k] (+ bias[n]) (+ residual[t, n])        dx[t, k] = Σ_n dy[t, n] · w[n, k] (+ residual[t, k])
//
// A row has the same bits with any number of other rows from 5 on, and with any number up to 4; in packed order with any, and
// in that of a row alone, which takes four at a time.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr long FEW_ROWS = 4;

// M ≤ 4 rows of x against W's rows [from, to): the weight is read once, from memory, and that is what it costs. Four rows of
// W at a time, one vector of partial sums for each pair, added up in a fixed tree.
template <Type type, int M>
static void few_rows(const Linear& l, const float* bias, long from, long to) {
  const long K = l.weight.columns, N = l.weight.rows;
  constexpr int W = 4;
  for (long n = from; n < to; n += W) {
    const int rows = (int)least((long)W, to - n);
    const char* w[W];
    for (int i = 0; i < W; i++) w[i] = (const char*)l.weight.data + (n + least(i, rows - 1)) * row_bytes(type, K);
    vf sums[M][W] = {};
    long k = 0;
    for (; k + VL <= K; k += VL) {
#pragma GCC unroll 4
      for (int i = 0; i < W; i++) {
        __builtin_prefetch(w[i] + offset_of(type, k) + 512);
        const vf right = load_as<type>(w[i], k);
#pragma GCC unroll 4
        for (int m = 0; m < M; m++) sums[m][i] = fma(load(l.x + m * K + k), right, sums[m][i]);
      }
    }
    if (k < K) {
      for (int i = 0; i < W; i++) {
        const vf right = load_part_as<type>(w[i], k, K - k);
        for (int m = 0; m < M; m++) sums[m][i] = fma(load_part(l.x + m * K + k, K - k), right, sums[m][i]);
      }
    }
    for (int m = 0; m < M; m++) {
      for (int i = 0; i < rows; i++) {
        float sum = total(sums[m][i]);
        if constexpr (type == Type::I8) sum *= l.weight.scales[n + i];
        if (bias) sum += bias[n + i];
        if (l.residual) sum += l.residual[m * N + n + i];
        l.y[m * N + n + i] = sum;
      }
    }
  }
}

// All rows of x, four at a time: those of W then come from the cache.
template <Type type>
static void few_rows_of(const Linear& l, const float* bias, long from, long to) {
  for (long m = 0; m < l.T; m += FEW_ROWS) {
    Linear some = l;
    some.T = least(FEW_ROWS, l.T - m);
    some.x += m * l.weight.columns;
    some.y += m * l.weight.rows;
    if (some.residual) some.residual += m * l.weight.rows;
    if (some.T == 1) few_rows<type, 1>(some, bias, from, to);
    if (some.T == 2) few_rows<type, 2>(some, bias, from, to);
    if (some.T == 3) few_rows<type, 3>(some, bias, from, to);
    if (some.T == 4) few_rows<type, 4>(some, bias, from, to);
  }
}

static bool linear(Pool* pool, const Linear& l) {
  const long N = l.weight.rows, K = l.weight.columns;
  float* bias = nullptr;
  if (l.bias.data) {
    bias = scratch(pool, PARTIAL, N);
    if (!bias) return false;
    widen(bias, l.bias.data, l.bias.type, N);
  }
  if (l.order == Order::ALONE || (l.order == Order::ANY && l.T <= FEW_ROWS)) {
    constexpr long rows = 64;  // of W in one job
    auto job = [&](long job, int) {
      const long from = job * rows, to = least(from + rows, N);
      if (l.weight.type == Type::F32) few_rows_of<Type::F32>(l, bias, from, to);
      if (l.weight.type == Type::BF16) few_rows_of<Type::BF16>(l, bias, from, to);
      if (l.weight.type == Type::F16) few_rows_of<Type::F16>(l, bias, from, to);
      if (l.weight.type == Type::I8) few_rows_of<Type::I8>(l, bias, from, to);
      if (l.weight.type == Type::NF4) few_rows_of<Type::NF4>(l, bias, from, to);
      if (l.weight.type == Type::I4) few_rows_of<Type::I4>(l, bias, from, to);
    };
    parallel(pool, (N + rows - 1) / rows, job);
    return true;
  }
  const Gemm g = {l.T, N, K, l.x, l.weight, false, l.y, bias, l.residual, l.packed};
#if defined(__AVX512BF16__)
  if (l.bf16) return gemm<true>(pool, g);
#endif
  return gemm<false>(pool, g);
}

static bool linear_backward(Pool* pool, const Linear& l) {
  const Gemm g = {l.T, l.weight.columns, l.weight.rows, l.x, l.weight, true, l.y, nullptr, l.residual, l.packed};
#if defined(__AVX512BF16__)
  if (l.bf16) return gemm<true>(pool, g);
#endif
  return gemm<false>(pool, g);
}

}  // namespace ZG_ISA
}  // namespace zg
