// One vector of floats as wide as the instruction set, over GCC/clang vector extensions. Included once per instruction set,
// inside a translation unit that defines ZG_ISA; everything lives in that namespace, so that the linker can never pick the
// AVX-512 copy of a shared inline function for a machine without it. For the same reason kernels use no C++ library.
//
// Multiply-add is explicit (`fma`) and contraction is off: a number has the same bits wherever it is computed.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__) && !defined(ZG_PORTABLE)
#include <arm_neon.h>
#endif

#include "kernels.h"

#define ZG_INLINE static inline __attribute__((always_inline))

namespace zg {
namespace ZG_ISA {

// VL lanes of a vector; MR × NV vectors are the register tile of the packed GEMM, PR × PV that of `product`.
#if defined(__AVX512F__)
constexpr int VL = 16, MR = 8, NV = 3, PR = 6, PV = 4;
#elif defined(__AVX2__)
constexpr int VL = 8, MR = 4, NV = 3, PR = 6, PV = 2;
#elif defined(__aarch64__)
constexpr int VL = 4, MR = 8, NV = 3, PR = 6, PV = 4;
#elif defined(__wasm__)
constexpr int VL = 4, MR = 8, NV = 1, PR = 4, PV = 2;  // 1.45 times as fast as 4 × 2 with V8's register allocation
#else
constexpr int VL = 4, MR = 4, NV = 2, PR = 4, PV = 2;
#endif

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef uint16_t vh __attribute__((vector_size(2 * VL)));
typedef int8_t vb __attribute__((vector_size(VL)));
typedef uint8_t vub __attribute__((vector_size(VL)));

template <class T>
ZG_INLINE constexpr T least(T a, T b) { return a < b ? a : b; }
template <class T>
ZG_INLINE constexpr T most(T a, T b) { return a > b ? a : b; }
ZG_INLINE long round_up(long n, long to) { return (n + to - 1) / to * to; }

template <class To, class From>
ZG_INLINE To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

ZG_INLINE vf splat(float x) { return x - vf{}; }
ZG_INLINE vi splat_int(int32_t x) { return x - vi{}; }

ZG_INLINE vf load(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
ZG_INLINE void store(float* p, vf v) { memcpy(p, &v, sizeof v); }

// The first n lanes (0 ≤ n ≤ VL), zeros behind; nothing beyond them is touched.
ZG_INLINE vf load_part(const float* p, long n) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  vf v = {};
  memcpy(&v, p, 4 * n);
  return v;
#endif
}
ZG_INLINE void store_part(float* p, vf v, long n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  memcpy(p, &v, 4 * n);
#endif
}

ZG_INLINE vf load_n(const float* p, long n) { return n == VL ? load(p) : load_part(p, n); }
ZG_INLINE void store_n(float* p, vf v, long n) {
  if (n == VL) store(p, v);
  else store_part(p, v, n);
}

// a·b + c; one rounding if the instruction set has it, two on plain SSE2.
ZG_INLINE vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__) && !defined(ZG_PORTABLE)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

ZG_INLINE vf greater(vf a, vf b) { return a > b ? a : b; }

// Lanes added in a fixed tree.
ZG_INLINE float total(vf v) {
  float lanes[VL];
  store(lanes, v);
  for (int half = VL / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}
ZG_INLINE float largest(vf v) {
  float lanes[VL];
  store(lanes, v);
  for (int i = 1; i < VL; i++) lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
  return lanes[0];
}

// bf16 is the upper half of a float32; float16 is widened by the machine or by exponent arithmetic. Both are exact.
ZG_INLINE vf widen_bf16(vh h) { return bits<vf>(__builtin_convertvector(h, vu) << 16); }
ZG_INLINE vf widen_f16(vh h) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps(bits<__m256i>(h));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtph_ps(bits<__m128i>(h));
#else
  const vu wide = __builtin_convertvector(h, vu);
  const vu magnitude = (wide & 0x7fff) << 13;
  const vf scaled = bits<vf>(magnitude) * 0x1p112f;  // also right for subnormals
  const vu special = bits<vu>(magnitude >= 0x0f800000u) & 0x7f800000u;
  return bits<vf>(bits<vu>(scaled) | special | ((wide & 0x8000) << 16));
#endif
}

// One float16; no scale is infinite or not a number.
ZG_INLINE float widen_scale(const void* at) {
  uint16_t h;
  memcpy(&h, at, sizeof h);
#if defined(__AVX2__)
  return _cvtsh_ss(h);
#else
  const float magnitude = bits<float>((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
  return bits<float>(bits<uint32_t>(magnitude) | (uint32_t)(h & 0x8000) << 16);
#endif
}

// What the codes 0 … 15 of NF4 stand for; core's formats/four_bits.ts has the same.
static const float nf4_levels[16] __attribute__((aligned(64))) = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
ZG_INLINE vf nf4_of(vi codes) {
#if defined(__AVX512F__)
  return (vf)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(nf4_levels));
#elif defined(__AVX2__)
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_levels), (__m256i)codes);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_levels + 8), (__m256i)codes);
  return (vf)_mm256_blendv_ps(low, high, (__m256)(codes << 28));
#else
  vf v;
  for (int l = 0; l < VL; l++) v[l] = nf4_levels[codes[l]];
  return v;
#endif
}

// VL numbers of blocks from index i on, a multiple of VL, times their scale: a row ends with a whole block.
template <Type type>
ZG_INLINE vf load_block(const void* row, long i) {
  constexpr Block block = block_of(type);
  const unsigned long at = (unsigned long)i % block.numbers;
  const char* start = (const char*)row + (unsigned long)i / block.numbers * block.bytes();
  vub pairs;  // the number in the low bits, and the 16th behind it in the high ones
  memcpy(&pairs, start + block.scaleBytes + at / 32 * 16 + at % 16, sizeof pairs);
  const vi codes = (__builtin_convertvector(pairs, vi) >> (at & 16 ? 4 : 0)) & 15;
  if constexpr (type == Type::NF4) {
    float scale;
    memcpy(&scale, start, sizeof scale);
    return nf4_of(codes) * splat(scale);
  }
  return __builtin_convertvector(codes - 8, vf) * splat(widen_scale(start));
}

// VL numbers of a row stored as `type`, from index i on; those of I8 without their scale.
template <Type type>
ZG_INLINE vf load_as(const void* row, long i) {
  if constexpr (is_blocks(type)) return load_block<type>(row, i);
  if constexpr (type == Type::F32) return load((const float*)row + i);
  if constexpr (type == Type::I8) {
    vb b;
    memcpy(&b, (const char*)row + i, sizeof b);
    return __builtin_convertvector(__builtin_convertvector(b, vi), vf);
  }
  vh h;
  memcpy(&h, (const char*)row + 2 * i, sizeof h);
  return type == Type::BF16 ? widen_bf16(h) : widen_f16(h);
}
template <Type type>
ZG_INLINE vf load_part_as(const void* row, long i, long n) {
  if constexpr (is_blocks(type)) return n > 0 ? load_block<type>(row, i) : vf{};  // zeros behind the row's end
  if constexpr (type == Type::F32) return load_part((const float*)row + i, n);
  if constexpr (type == Type::I8) {
    vb b = {};
    memcpy(&b, (const char*)row + i, n);
    return __builtin_convertvector(__builtin_convertvector(b, vi), vf);
  }
  vh h = {};
  memcpy(&h, (const char*)row + 2 * i, 2 * n);
  return type == Type::BF16 ? widen_bf16(h) : widen_f16(h);
}

// eˣ. Range reduction by ln 2 in two parts, then the polynomial of Cephes' expf: off by at most 1.01 units in the last place
// over [-87.3, 88.3] (measured with AVX-512 over every seventh float); 0 below, about 2e38 above; NaN stays NaN.
ZG_INLINE vf exp(vf x) {
  const vf low = splat(-87.33f), high = splat(88.3f), shift = splat(0x1.8p23f);
  const vf clamped = x > high ? high : x;
  const vf shifted = fma(clamped, splat(1.44269504088896341f), shift);
  const vf n = shifted - shift;
  vf r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + splat(1.0f);
  const vu exponent = (bits<vu>(shifted) + 127) << 23;  // shift's own low bits are zero
  const vf result = p * bits<vf>(exponent);
  return x < low ? vf{} : result;
}

// tanh x: near 0 Cephes' polynomial, so that small ones keep their digits, beyond it by eˣ.
ZG_INLINE vf tanh(vf x) {
  const vf s = x * x, a = x < vf{} ? -x : x;
  vf p = splat(-5.70498872745e-3f);
  p = fma(p, s, splat(2.06390887954e-2f));
  p = fma(p, s, splat(-5.37397155531e-2f));
  p = fma(p, s, splat(1.33314422036e-1f));
  p = fma(p, s, splat(-3.33332819422e-1f));
  const vf near = fma(p * s, x, x);
  const vf far = splat(1.0f) - splat(2.0f) / (exp(a + a) + splat(1.0f));
  return a > splat(0.625f) ? (x < vf{} ? -far : far) : near;
}

ZG_INLINE vf sigmoid(vf a) { return splat(1.0f) / (splat(1.0f) + exp(-a)); }

}  // namespace ZG_ISA
}  // namespace zg
