// Fixed-point sums, unit 2⁻⁴⁸, with the bits of packages/core/src/sum/fixed_point.ts, and the norm and scale of
// packages/core/src/optim/clip.ts. A sum is an int64 as two words of 32 bits, low word first, at any multiple of four bytes.
#include "simd.h"

namespace zg {
namespace ZG_ISA {

typedef uint64_t __attribute__((may_alias, aligned(4))) Sum;

// Numbers of one job, and of a block of it that stays in the first cache.
constexpr long NUMBERS_PER_JOB = 65536, NUMBERS_PER_BLOCK = 1024;

ZG_INLINE int64_t to_nearest(double units) {
#if defined(__wasm__)
  return (int64_t)__builtin_rint(units);
#else
  return __builtin_llrint(units);
#endif
}

static long add_fixed_point(int32_t* sum, const float* gradient, long length, double limit) {
  const double limitUnits = limit * 0x1p48;
  Sum* words = (Sum*)sum;
  long bad = 0, i = 0;
#if defined(__AVX512DQ__)
  const __m512d highest = _mm512_set1_pd(limitUnits), lowest = _mm512_set1_pd(-limitUnits);
  for (; i + 8 <= length; i += 8) {
    const __m512d units = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(gradient + i)), _mm512_set1_pd(0x1p48));
    const __mmask8 good = _mm512_cmp_pd_mask(units, lowest, _CMP_GT_OQ) & _mm512_cmp_pd_mask(units, highest, _CMP_LT_OQ);
    const __m512i rounded = _mm512_maskz_cvtpd_epi64(good, units);
    _mm512_storeu_si512(words + i, _mm512_add_epi64(_mm512_loadu_si512(words + i), rounded));
    bad += 8 - __builtin_popcount(good);
  }
#endif
  for (; i < length; i++) {
    const double units = gradient[i] * 0x1p48;
    // NaN fails both comparisons. Ties go to even; sums wrap as they do there.
    const bool isGood = (units > -limitUnits) & (units < limitUnits);
    bad += !isGood;
    words[i] += (uint64_t)to_nearest(isGood ? units : 0);
  }
  return bad;
}

// f(begin, count, totals) for blocks of the sums of all sources, shared out.
template <class F>
ZG_INLINE void each_total(Pool* pool, const Sums& sums, F f) {
  const long jobs = (sums.length + NUMBERS_PER_JOB - 1) / NUMBERS_PER_JOB;
  auto job = [&](long job, int) {
    uint64_t totals[NUMBERS_PER_BLOCK];
    const long end = least((job + 1) * NUMBERS_PER_JOB, sums.length);
    for (long begin = job * NUMBERS_PER_JOB; begin < end; begin += NUMBERS_PER_BLOCK) {
      const long count = least(NUMBERS_PER_BLOCK, end - begin);
      const Sum* first = (const Sum*)sums.from[0] + begin;
      for (long i = 0; i < count; i++) totals[i] = first[i];
      for (long s = 1; s < sums.count; s++) {
        const Sum* other = (const Sum*)sums.from[s] + begin;
        for (long i = 0; i < count; i++) totals[i] += other[i];
      }
      f(begin, count, totals);
    }
  };
  parallel(pool, jobs, job);
}

static void add_sums(Pool* pool, const Sums& sums, int32_t* out) {
  each_total(pool, sums, [&](long begin, long count, const uint64_t* totals) {
    memcpy(out + 2 * begin, totals, sizeof *totals * count);
  });
}

// An int64 becomes the nearest float32 in one rounding, and the unit is a power of two.
static void read_sums(Pool* pool, const Sums& sums, float* out) {
  each_total(pool, sums, [&](long begin, long count, const uint64_t* totals) {
    for (long i = 0; i < count; i++) out[begin + i] = (float)(int64_t)totals[i] * 0x1p-48f;
  });
}

static double sum_squares(const float* numbers, long length) {
  double sum = 0;
  for (long i = 0; i < length; i++) sum += (double)numbers[i] * numbers[i];
  return sum;
}

static void scale(Pool* pool, float* numbers, long length, double factor) {
  auto job = [&](long job, int) {
    const long end = least((job + 1) * NUMBERS_PER_JOB, length);
    for (long i = job * NUMBERS_PER_JOB; i < end; i++) numbers[i] = (float)(numbers[i] * factor);
  };
  parallel(pool, (length + NUMBERS_PER_JOB - 1) / NUMBERS_PER_JOB, job);
}

}  // namespace ZG_ISA
}  // namespace zg
