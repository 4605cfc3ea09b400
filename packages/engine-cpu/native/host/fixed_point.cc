// Adds float32 gradients to int64 fixed-point sums, unit 2⁻⁴⁸: the same bits as packages/core/src/sum/fixed_point.ts.
#include <math.h>
#include <string.h>

#include "kernels.h"

namespace zg {

long add_fixed_point(int32_t* sum, const float* gradient, long length, double limit) {
  const double unitsPerOne = 0x1p48, limitUnits = limit * unitsPerOne;
  long bad = 0;
  for (long i = 0; i < length; i++) {
    const double units = gradient[i] * unitsPerOne;
    // NaN fails both comparisons. Ties go to even; sums wrap as they do there.
    if (!(units > -limitUnits && units < limitUnits)) {
      bad++;
      continue;
    }
    uint64_t word;
    memcpy(&word, sum + 2 * i, sizeof word);
    word += (uint64_t)llrint(units);
    memcpy(sum + 2 * i, &word, sizeof word);
  }
  return bad;
}

}  // namespace zg
