// Packing for the GEMM: operands are laid out as the register tile reads them, and weights widened on the way, exactly.
//
// A step is four bytes: one float32, or the pair (x[2u], x[2u+1]) of bf16 along the contraction.
//   pack_rows:   MR rows of the activations          → [step][MR]
//   pack_across: V·VL rows of W (forward, B = Wᵀ)     → [step][V·VL]
//   pack_along:  V·VL columns of W (backward, B = W)  → [step][V·VL]
// Rows and columns beyond the matrix are packed as zeros.

#include <utility>  // integer_sequence, a type: nothing of it is ever linked

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Lanes of (a, b) for one exchange of the transposition: those whose number has the bit `half` come from the other vector.
template <int half, int... l>
ZG_INLINE vf exchange_low(vf a, vf b, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(a, b, ((l & half) ? VL + l - half : l)...);
}
template <int half, int... l>
ZG_INLINE vf exchange_high(vf a, vf b, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(a, b, ((l & half) ? VL + l : l + half)...);
}

// Transposes blocks of N × N inside N vectors: lane l of vector i goes to vector l mod N, lane (l − l mod N) + i.
template <int N, int half = 1>
ZG_INLINE void transpose(vf (&r)[N]) {
  if constexpr (half < N) {
    constexpr auto lanes = std::make_integer_sequence<int, VL>();
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) {
      if (i & half) continue;
      const vf a = r[i], b = r[i + half];
      r[i] = exchange_low<half>(a, b, lanes);
      r[i + half] = exchange_high<half>(a, b, lanes);
    }
    transpose<N, 2 * half>(r);
  }
}

// VL steps of a row of `length` numbers, from step u on; zeros behind its end.
template <Type type, bool bf16>
ZG_INLINE vf steps(const void* row, long u, long length) {
#if defined(__AVX512BF16__)
  if constexpr (bf16) {
    const long n = length - 2 * u;
    if constexpr (type == Type::BF16) {
      if (n >= 2 * VL) return load((const float*)((const uint16_t*)row + 2 * u));
      vf v = {};
      if (n > 0) memcpy(&v, (const uint16_t*)row + 2 * u, 2 * n);
      return v;
    }
    const vf a = n >= VL ? load_as<type>(row, 2 * u) : load_part_as<type>(row, 2 * u, most(n, 0l));
    const vf b = n >= 2 * VL ? load_as<type>(row, 2 * u + VL) : load_part_as<type>(row, 2 * u + VL, most(n - VL, 0l));
    return bits<vf>(_mm512_cvtne2ps_pbh((__m512)b, (__m512)a));
  }
#endif
  const long n = length - u;
  return n >= VL ? load_as<type>(row, u) : load_part_as<type>(row, u, most(n, 0l));
}

// Steps [from, from + count) of `rows` ≤ MR rows of A [·, length].
template <bool bf16>
static void pack_rows(const float* a, long length, int rows, long from, long count, float* out) {
  constexpr int N = MR < VL ? MR : VL;
  for (int group = 0; group < MR; group += N) {
    for (long u = 0; u < count; u += VL) {
      vf r[N];
#pragma GCC unroll 16
      for (int i = 0; i < N; i++) {
        r[i] = group + i < rows ? steps<Type::F32, bf16>(a + (group + i) * length, from + u, length) : vf{};
      }
      transpose<N>(r);
      const long steps_left = count - u;
#pragma GCC unroll 4
      for (int block = 0; block < VL / N; block++) {
#pragma GCC unroll 16
        for (int i = 0; i < N; i++) {
          const long step = block * N + i;
          if (step < steps_left) memcpy(out + (u + step) * MR + group, (const float*)&r[i] + block * N, 4 * N);
        }
      }
    }
  }
}

struct Panel {
  const void* weight;
  long rows, columns;  // of the weight
  long at;             // first row (across) or column (along) of the panel
  int vectors;
};

template <Type type, bool bf16>
static void pack_across(const Panel& p, long from, long count, float* out) {
  const long width = p.columns * bytes_of(type);
  for (int v = 0; v < p.vectors; v++) {
    const long first = p.at + v * VL;
    const char* row = (const char*)p.weight + first * width;
    const long rows = p.rows - first;
    for (long u = 0; u < count; u += VL) {
      vf r[VL];
#pragma GCC unroll 16
      for (int i = 0; i < VL; i++) {
        r[i] = i < rows ? steps<type, bf16>(row + i * width, from + u, p.columns) : vf{};
      }
      transpose<VL>(r);
#pragma GCC unroll 16
      for (int i = 0; i < VL; i++) {
        if (u + i < count) store(out + ((u + i) * p.vectors + v) * VL, r[i]);
      }
    }
  }
}

template <Type type, bool bf16>
static void pack_along(const Panel& p, long from, long count, float* out) {
  const long width = p.columns * bytes_of(type);
  constexpr int ahead = 12;  // rows: far enough for memory, near enough to stay cached
  for (long u = from; u < from + count; u++) {
    for (int v = 0; v < p.vectors; v++, out += VL) {
      const long column = p.at + v * VL;
      const long n = least(p.columns - column, (long)VL);
      const auto lanes = [&](long r) {
        const char* row = (const char*)p.weight + r * width;
        __builtin_prefetch(row + ahead * width + column * bytes_of(type));
        return n == VL ? load_as<type>(row, column) : load_part_as<type>(row, column, n);
      };
#if defined(__AVX512BF16__)
      if constexpr (bf16) {
        const vf even = lanes(2 * u);
        const vf odd = 2 * u + 1 < p.rows ? lanes(2 * u + 1) : vf{};
        const vu low = __builtin_convertvector(bits<vh>(_mm512_cvtneps_pbh((__m512)even)), vu);
        const vu high = __builtin_convertvector(bits<vh>(_mm512_cvtneps_pbh((__m512)odd)), vu);
        store(out, bits<vf>(low | (high << 16)));
        continue;
      }
#endif
      store(out, lanes(u));
    }
  }
}

using PackFn = void (*)(const Panel&, long from, long count, float* out);

template <bool bf16>
static PackFn pack_of(Type type, bool backward) {
  switch (type) {
    case Type::F32:
      return backward ? pack_along<Type::F32, bf16> : pack_across<Type::F32, bf16>;
    case Type::BF16:
      return backward ? pack_along<Type::BF16, bf16> : pack_across<Type::BF16, bf16>;
    default:
      return backward ? pack_along<Type::F16, bf16> : pack_across<Type::F16, bf16>;
  }
}

}  // namespace ZG_ISA
}  // namespace zg
