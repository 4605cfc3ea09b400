// Rotary position embedding (RoFormer, arXiv:2104.09864), half-split layout of Hugging Face: component i pairs with i + d/2.
//
//   x'[i] = x[i]·cos − x[i+d/2]·sin        x'[i+d/2] = x[i+d/2]·cos + x[i]·sin
//
// Rotates the H query and G key heads of every row of qkv_TX in place; values stay. `inverse` turns the other way.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

static bool rope(Pool* pool, const Rope& a) {
  const auto& [T, H, G, d, window, cap] = a.heads;
  (void)window, (void)cap;
  const long X = (H + 2 * G) * d, half = d / 2;
  const long rows = rows_per_job(X);
  const vf sign = splat(a.inverse ? -1.0f : 1.0f);
  auto job = [&, T = T, H = H, G = G, d = d](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, T); t++) {
      const float *cosine = a.cosSin_Td + t * d, *sine = cosine + half;
      for (long i = 0; i < half; i += VL) {
        const long n = least((long)VL, half - i);
        const vf c = load_n(cosine + i, n), s = sign * load_n(sine + i, n);
        float* low = a.qkv_TX + t * X + i;
        for (long head = 0; head < H + G; head++, low += d) {
          const vf x = load_n(low, n), y = load_n(low + half, n);
          store_n(low, fma(-y, s, x * c), n);
          store_n(low + half, fma(x, s, y * c), n);
        }
      }
    }
  };
  parallel(pool, (T + rows - 1) / rows, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
