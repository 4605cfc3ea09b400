// One range of an AdamW step: the bits of packages/core/src/optim/adamw.ts, which says what it computes. Everything is float64
// and rounded once on store; no operation may be fused with another.
#include "kernels.h"

namespace zg {
namespace ZG_ISA {

static void adamw_part(const AdamW& a, long from, long to) {
  float *__restrict params = a.params, *__restrict m = a.m, *__restrict v = a.v;
  const float* __restrict gradient = a.gradient;
  const double fresh1 = 1 - a.beta1, fresh2 = 1 - a.beta2;
  for (long i = from; i < to; i++) {
    const double g = gradient[i];
    m[i] = (float)(a.beta1 * m[i] + fresh1 * g);
    v[i] = (float)(a.beta2 * v[i] + fresh2 * g * g);
    const double divisor = __builtin_sqrt((double)v[i]) / a.rootCorrection + a.eps;
    params[i] = (float)(params[i] * a.keep - a.stepSize * m[i] / divisor);
  }
}

static void adamw(Pool* pool, const AdamW& a) {
  const long numbers = 16384, all = a.to - a.from;
  auto job = [&](long job, int) {
    adamw_part(a, a.from + job * numbers, a.from + least((job + 1) * numbers, all));
  };
  parallel(pool, (all + numbers - 1) / numbers, job);
}

}  // namespace ZG_ISA
}  // namespace zg
