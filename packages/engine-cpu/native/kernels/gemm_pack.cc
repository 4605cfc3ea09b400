// Packing for the GEMM: operands are laid out as the register tile reads them, and weights widened on the way, exactly; those
// of I8 and of four bits are multiplied by their scale, and rounded once.
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

// Numbers of a row with the scale that those of I8 have.
template <Type type>
ZG_INLINE vf scaled(vf numbers, float scale) {
  return type == Type::I8 ? numbers * splat(scale) : numbers;
}

// VL steps of a row of `length` numbers, from step u on; zeros behind its end.
template <Type type, bool bf16>
ZG_INLINE vf steps(const void* row, long u, long length, float scale = 1) {
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
    return bits<vf>(_mm512_cvtne2ps_pbh((__m512)scaled<type>(b, scale), (__m512)scaled<type>(a, scale)));
  }
#endif
  const long n = length - u;
  return scaled<type>(n >= VL ? load_as<type>(row, u) : load_part_as<type>(row, u, most(n, 0l)), scale);
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

constexpr long NR = NV * VL;  // columns of a whole panel

struct Panel {
  const void* weight;
  const float* scales;
  long rows, columns;  // of the weight
  long at;             // first row (across) or column (along) of the panel
  int vectors;
};

constexpr bool is_half(Type type) { return type == Type::BF16 || type == Type::F16; }

// Lanes of four bytes hold two numbers of a row each: the first or the second of them, widened.
template <Type type, int which>
ZG_INLINE vf half_of(vf pairs) {
  const vu two = bits<vu>(pairs);
  if constexpr (type == Type::BF16) return bits<vf>(which ? two & 0xffff0000u : two << 16);
  return widen_f16(__builtin_convertvector(which ? two >> 16 : two & 0xffffu, vh));
}

// VL rows of W, count ≤ VL · (numbers in four bytes) steps of each.
template <Type type, bool bf16, bool whole>
ZG_INLINE void across(const char* row, const float* scales, long width, long rows, long u, long count, long length, float* out,
                      long ahead) {
  constexpr bool split = !bf16 && is_half(type);
  const auto scale = [&](int i) { return type == Type::I8 ? scales[i] : 1; };
  vf r[VL];
#pragma GCC unroll 16
  for (int i = 0; i < VL; i++) {
    if constexpr (whole) {
      if constexpr (split) r[i] = load((const float*)(row + i * width + 2 * u));
      else r[i] = steps<type, bf16>(row + i * width, u, length, scale(i));
    } else if constexpr (split) {
      r[i] = vf{};
      if (i < rows) memcpy(&r[i], row + i * width + 2 * u, 2 * least(length - u, 2l * VL));
    } else {
      r[i] = i < rows ? steps<type, bf16>(row + i * width, u, length, scale(i)) : vf{};
    }
  }
  transpose<VL>(r);
#pragma GCC unroll 16
  for (int i = 0; i < VL; i++) {
    if constexpr (split) {
      if (whole || 2 * i < count) store(out + 2 * i * ahead, half_of<type, 0>(r[i]));
      if (whole || 2 * i + 1 < count) store(out + (2 * i + 1) * ahead, half_of<type, 1>(r[i]));
    } else {
      if (whole || i < count) store(out + i * ahead, r[i]);
    }
  }
}

template <Type type, bool bf16>
static void pack_across(const Panel& p, long from, long count, float* out) {
  const long width = row_bytes(type, p.columns), ahead = p.vectors * VL;
  constexpr long chunk = !bf16 && is_half(type) ? 2 * VL : VL;  // steps
  const long numbers = bf16 ? 2 : 1;
  for (int v = 0; v < p.vectors; v++) {
    const long first = p.at + v * VL;
    const char* row = (const char*)p.weight + first * width;
    const float* scales = type == Type::I8 ? p.scales + first : nullptr;
    const long rows = p.rows - first;
    for (long u = 0; u < count; u += chunk) {
      float* to = out + (u * p.vectors + v) * VL;
      if (rows >= VL && u + chunk <= count && numbers * (from + u + chunk) <= p.columns) {
        across<type, bf16, true>(row, scales, width, VL, from + u, chunk, numbers * (from + u + chunk), to, ahead);
      } else {
        across<type, bf16, false>(row, scales, width, rows, from + u, count - u, p.columns, to, ahead);
      }
    }
  }
}

// VL columns of W from `column` on, step u.
template <Type type, bool bf16, bool whole>
ZG_INLINE vf along(const Panel& p, long u, long column) {
  const auto lanes = [&](long row) {
    const char* at = (const char*)p.weight + row * row_bytes(type, p.columns);
    const vf numbers = whole ? load_as<type>(at, column) : load_part_as<type>(at, column, p.columns - column);
    return scaled<type>(numbers, type == Type::I8 ? p.scales[row] : 1);
  };
#if defined(__AVX512BF16__)
  if constexpr (bf16) {
    const long last = least(2 * u + 1, p.rows - 1);
    vu low, high;
    if constexpr (type == Type::BF16) {
      low = bits<vu>(lanes(2 * u)) >> 16;
      high = bits<vu>(lanes(last));
    } else {
      low = __builtin_convertvector(bits<vh>(_mm512_cvtneps_pbh((__m512)lanes(2 * u))), vu);
      high = __builtin_convertvector(bits<vh>(_mm512_cvtneps_pbh((__m512)lanes(last))), vu) << 16;
    }
    return bits<vf>(low | (last == 2 * u ? vu{} : high));
  }
#endif
  return lanes(u);
}

template <Type type, bool bf16>
static void pack_along(const Panel& p, long from, long count, float* out) {
  const long whole = least((long)p.vectors, (p.columns - p.at) / VL);
  for (long u = from; u < from + count; u++, out += p.vectors * VL) {
    if (whole == NV) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; v++) store(out + v * VL, along<type, bf16, true>(p, u, p.at + v * VL));
      continue;
    }
    for (int v = 0; v < p.vectors; v++) {
      const long column = p.at + v * VL;
      store(out + v * VL, v < whole ? along<type, bf16, true>(p, u, column) : along<type, bf16, false>(p, u, column));
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
    case Type::I8:
      return backward ? pack_along<Type::I8, bf16> : pack_across<Type::I8, bf16>;
    case Type::NF4:
      return backward ? pack_along<Type::NF4, bf16> : pack_across<Type::NF4, bf16>;
    case Type::I4:
      return backward ? pack_along<Type::I4, bf16> : pack_across<Type::I4, bf16>;
    default:
      return backward ? pack_along<Type::F16, bf16> : pack_across<Type::F16, bf16>;
  }
}

}  // namespace ZG_ISA
}  // namespace zg
