// Rows: shared out to threads, summed, of weights as float32, moved, added. Embedding: y[t] = scale · table[ids[t]] (+ residual[t]).

#include "operations.h"
#include "simd.h"

namespace zg {

#define ZG_GATHER_ROWS(_) \
  _(SIZE, T, 0) _(SIZE, D, 1) _(ROWS, rows_R, "R", 'T', 0) _(COUNT, R) _(OUT, y_RD, "RD") _(IN, x_TD, "TD")
#define ZG_SCATTER_ROWS(_) \
  _(SIZE, T, 0) _(SIZE, D, 1) _(ROWS, rows_R, "R", 'T', 0) _(COUNT, R) _(OUT, dx_TD, "TD") _(IN, dy_RD, "RD")
#define ZG_SPLIT_COLUMNS(_) \
  _(SIZE, T, 0) _(SIZE, A, 1) _(SIZE, B, 1) _(SIZE, X, 1) _(OUT, a_TA, "TA") _(OUT, b_TB, "TB") _(IN, x_TX, "TX")
#define ZG_JOIN_COLUMNS(_) \
  _(SIZE, T, 0) _(SIZE, A, 1) _(SIZE, B, 1) _(SIZE, X, 1) _(OUT, x_TX, "TX") _(IN, a_TA, "TA") _(IN, b_TB, "TB")
#define ZG_ADD_SCALED(_) \
  _(SIZE, T, 0) _(SIZE, D, 1) _(NUMBER, factor) _(OUT, sum_TD, "TD") _(IN, x_TD, "TD") _(IN, y_TD, "TD")
ZG_ARGUMENTS(AddScaled, ZG_ADD_SCALED)
ZG_ARGUMENTS(SplitColumns, ZG_SPLIT_COLUMNS)
ZG_ARGUMENTS(JoinColumns, ZG_JOIN_COLUMNS)
ZG_ARGUMENTS(GatherRows, ZG_GATHER_ROWS)
ZG_ARGUMENTS(ScatterRows, ZG_SCATTER_ROWS)

namespace ZG_ISA {

// Rows of one job: enough work to be worth a hand-over, few enough to share out.
static long rows_per_job(long columns) { return most(1l, 16384 / most(columns, 1l)); }

// f(t) for rows 0 … T of so many columns, shared out.
template <class F>
static bool each_row(Pool* pool, long T, long columns, F f) {
  const long rows = rows_per_job(columns);
  auto job = [&](long job, int) {
    for (long t = job * rows; t < least((job + 1) * rows, T); t++) f(t);
  };
  parallel(pool, (T + rows - 1) / rows, job);
  return true;
}

// f(i, n) for the vectors of a row: n lanes from number i on.
template <class F>
ZG_INLINE void each_vector(long columns, F f) {
  for (long i = 0; i < columns; i += VL) f(i, least((long)VL, columns - i));
}

// Σ of f(i, lanes) over a row, in four chains of vectors and a fixed tree at the end.
template <class F>
ZG_INLINE float row_sum(long D, F f) {
  vf sums[4] = {};
  long i = 0;
  for (; i + 4 * VL <= D; i += 4 * VL) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) sums[c] = f(sums[c], i + c * VL, (long)VL);
  }
  for (; i < D; i += VL) sums[0] = f(sums[0], i, least((long)VL, D - i));
  return total((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

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

// One or two vectors of the same length as float32, one behind the other; null if memory is lacking.
static const float* widened(Pool* pool, const Weight& vector, const Weight* second = nullptr) {
  const long n = vector.rows * vector.columns;
  float* out = scratch(pool, PARTIAL, second ? 2 * n : n);
  if (!out) return nullptr;
  widen(out, vector.data, vector.type, n);
  if (second) widen(out + n, second->data, second->type, n);
  return out;
}

// x + the n lanes of an array from number i on; x if there is no array.
ZG_INLINE vf plus_n(vf x, const float* array, long i, long n) { return array ? x + load_n(array + i, n) : x; }

static bool embed(Pool* pool, const Embed& a) {
  const long D = a.table.columns;
  return each_row(pool, a.T, D, [&](long t) {
    const char* row = (const char*)a.table.data + a.ids_T[t] * D * bytes_of(a.table.type);
    float* y = a.y_TD + t * D;
    widen(y, row, a.table.type, D);
    for (long d = 0; a.scale != 1.0f && d < D; d++) y[d] *= a.scale;
    for (long d = 0; a.residual_TD && d < D; d++) y[d] += a.residual_TD[t * D + d];
  });
}

static bool gather_rows(Pool* pool, const GatherRows& a) {
  return each_row(pool, a.R, a.D, [&](long r) { memcpy(a.y_RD + r * a.D, a.x_TD + a.rows_R[r] * a.D, 4 * a.D); });
}

// Rows that repeat are summed in the order of r: a job has some columns of all rows.
static bool scatter_rows(Pool* pool, const ScatterRows& a) {
  float* written = scratch(pool, PARTIAL, a.T + 1);
  if (!written) return false;
  memset(written, 0, 4 * a.T);
  bool repeats = false;
  for (long r = 0; r < a.R; r++) repeats |= written[a.rows_R[r]]++ > 0;
  if (!repeats) {
    each_row(pool, a.T, a.D, [&](long t) { if (!written[t]) memset(a.dx_TD + t * a.D, 0, 4 * a.D); });
    return each_row(pool, a.R, a.D, [&](long r) { memcpy(a.dx_TD + a.rows_R[r] * a.D, a.dy_RD + r * a.D, 4 * a.D); });
  }
  constexpr long columns = 8 * VL;
  auto job = [&](long job, int) {
    const long from = job * columns, count = least(columns, a.D - from);
    for (long t = 0; t < a.T; t++) memset(a.dx_TD + t * a.D + from, 0, 4 * count);
    for (long r = 0; r < a.R; r++) {
      float* dx = a.dx_TD + a.rows_R[r] * a.D + from;
      const float* dy = a.dy_RD + r * a.D + from;
      each_vector(count, [&](long i, long n) { store_n(dx + i, load_n(dx + i, n) + load_n(dy + i, n), n); });
    }
  };
  parallel(pool, (a.D + columns - 1) / columns, job);
  return true;
}

static bool add_scaled(Pool* pool, const AddScaled& a) {
  return each_row(pool, a.T, a.D, [&](long t) {
    each_vector(a.D, [&](long d, long n) {
      const long i = t * a.D + d;
      store_n(a.sum_TD + i, fma(splat(a.factor), load_n(a.y_TD + i, n), load_n(a.x_TD + i, n)), n);
    });
  });
}

// X is A + B: core checks it. Behind A, as many of B as a row has, so that no other sizes reach beyond an array.
static bool split_columns(Pool* pool, const SplitColumns& a) {
  const long A = least(a.A, a.X), B = least(a.B, a.X - A);
  return each_row(pool, a.T, a.X, [&](long t) {
    memcpy(a.a_TA + t * a.A, a.x_TX + t * a.X, 4 * A);
    memcpy(a.b_TB + t * a.B, a.x_TX + t * a.X + A, 4 * B);
  });
}

static bool join_columns(Pool* pool, const JoinColumns& a) {
  const long A = least(a.A, a.X), B = least(a.B, a.X - A);
  return each_row(pool, a.T, a.X, [&](long t) {
    memcpy(a.x_TX + t * a.X, a.a_TA + t * a.A, 4 * A);
    memcpy(a.x_TX + t * a.X + A, a.b_TB + t * a.B, 4 * B);
  });
}

}  // namespace ZG_ISA
}  // namespace zg
