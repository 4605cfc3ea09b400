// Rows of weights as float32, and how rows are shared out. Embedding: y[t] = scale · table[ids[t]] (+ residual[t]).

#include "simd.h"

namespace zg {
namespace ZG_ISA {

// Rows of one job: enough work to be worth a hand-over, few enough to share out.
static long rows_per_job(long columns) { return most(1l, 16384 / most(columns, 1l)); }

template <Type type>
static void widen_as(float* out, const void* row, long n) {
  long i = 0;
  for (; i + VL <= n; i += VL) store(out + i, load_as<type>(row, i));
  if (i < n) store_part(out + i, load_part_as<type>(row, i, n - i), n - i);
}

static void widen(float* out, const void* row, Type type, long n) {
  if (type == Type::F32) widen_as<Type::F32>(out, row, n);
  if (type == Type::BF16) widen_as<Type::BF16>(out, row, n);
  if (type == Type::F16) widen_as<Type::F16>(out, row, n);
}

static bool embed(Pool* pool, const Embed& a) {
  const long D = a.table.columns, rows = rows_per_job(D);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, a.T); t++) {
      const char* row = (const char*)a.table.data + a.ids_T[t] * D * bytes_of(a.table.type);
      float* y = a.y_TD + t * D;
      widen(y, row, a.table.type, D);
      for (long d = 0; a.scale != 1.0f && d < D; d++) y[d] *= a.scale;
      for (long d = 0; a.residual_TD && d < D; d++) y[d] += a.residual_TD[t * D + d];
    }
  };
  parallel(pool, (a.T + rows - 1) / rows, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
