// Which of the build's instruction sets this machine and its operating system run.
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

namespace {
// Register state that the operating system saves: bits 1–2 SSE and AVX, 5–7 AVX-512.
uint64_t saved_state() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

struct Features {
  bool avx2, avx512, avx512bf16;
};

Features features() {
  Features f = {};
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  const bool fma = c & bit_FMA, f16c = c & bit_F16C;
  if (!(c & bit_OSXSAVE)) return f;
  const uint64_t state = saved_state();
  if ((state & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
  const uint32_t maxSubleaf = a;
  f.avx2 = (b & bit_AVX2) && fma && f16c;
  const uint32_t all = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  f.avx512 = f.avx2 && (b & all) == all && (state & 0xe6) == 0xe6;
  if (f.avx512 && maxSubleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) f.avx512bf16 = a & (1u << 5);
  return f;
}
}  // namespace
#endif

namespace zg {

const Level* cpu_levels(int* count) {
#if defined(__x86_64__)
  static const Features f = features();
  static const Level levels[] = {{&kernels_avx512bf16, f.avx512bf16},
                                 {&kernels_avx512, f.avx512},
                                 {&kernels_avx2, f.avx2},
                                 {&kernels_portable, true}};
#elif defined(__aarch64__)
  static const Level levels[] = {{&kernels_neon, true}, {&kernels_portable, true}};
#else
  static const Level levels[] = {{&kernels_portable, true}};
#endif
  *count = sizeof levels / sizeof *levels;
  return levels;
}

}  // namespace zg
