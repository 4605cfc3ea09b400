// Packed GEMM after Goto & van de Geijn (ACM TOMS 34(3), 2008) for a frozen weight in its checkpoint's dtype.
//
//   forward:  y_TN = x_TK · Wᵀ (+ bias_N) (+ residual)        backward: dx_TK = dy_TN · W (+ residual)
//
// A job is a rectangle of the result and packs all that it reads into memory of its thread: lines that another core wrote
// last cost more than packing twice. Inside: a block of the contraction, its rows of A packed to stay in L2; then panel after
// panel of B, packed into L1 and run against all rows, while the next panels' part of the weight comes from memory. Both
// directions read the one copy of the weight, or a packed one of their own that stays (packed.h): the same numbers in the same
// order.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr long KC = 192;                              // steps of the contraction at a time: a panel of B stays in L1
constexpr long ROW_PANELS = 384 / MR;                 // of a job, at most: 384 × KC of A stay in L2
constexpr long COLUMN_PANELS = most(1152l / NR, 1l);  // of a job, at most: what its blocks add to stays near
constexpr long FETCHED_PANELS = most(144l / NR, 1l);  // whose weights are fetched together: longer runs of memory

struct Gemm {
  long M, N, K;  // C[M, N] = A[M, K] · B[K, N]
  const float* a;
  Weight weight;
  bool backward;
  float* c;
  const float* bias;
  const float* residual;
  Packed* packed;
};

ZG_INLINE long parts_of(long length, long most) { return (length + most - 1) / most; }

// Jobs along the rows and along the columns of C.
struct Split {
  long rows, columns;
};

// The split whose threads end first, by the size of the largest job and by what it packs. The bits do not depend on it.
static Split split_of(long rowPanels, long columnPanels, long threads, bool isPacked) {
  const Split fewest = {parts_of(rowPanels, ROW_PANELS), parts_of(columnPanels, COLUMN_PANELS)};
  Split best = fewest;
  double bestCost = 0;
  for (long rows = fewest.rows; rows <= least(rowPanels, fewest.rows + threads); rows++) {
    for (long columns = fewest.columns; columns <= least(columnPanels, fewest.columns + threads); columns++) {
      const double m = parts_of(rowPanels, rows) * MR, n = parts_of(columnPanels, columns) * NR;
      const double cost = parts_of(rows * columns, threads) * (m * n + 8 * m + (isPacked ? 4 : 16) * n);
      if (bestCost == 0 || cost < bestCost) bestCost = cost, best = {rows, columns};
    }
  }
  return best;
}

// The weights that `count` steps of panels [begin, end) of B take.
template <bool bf16>
ZG_INLINE Fetch fetch_of(const Gemm& g, long from, long count, long begin, long end) {
  const Type type = g.weight.type;
  const long stride = row_bytes(type, g.weight.columns), numbers = bf16 ? 2 : 1;
  const long first = numbers * from, length = least(g.K - first, numbers * count);
  const long column = begin * NR, width = least(g.N, end * NR) - column;
  const long rows = g.backward ? length : width, begin_in_row = g.backward ? column : first;
  const long offset = offset_of(type, begin_in_row);
  const long bytes = row_bytes(type, begin_in_row + (g.backward ? width : length)) - offset;
  const char* at = (const char*)g.weight.data + (g.backward ? first : column) * stride + offset;
  const long before = (uintptr_t)at % 64, lines = parts_of(before + bytes, 64);
  return {at - before, lines, lines, stride - 64 * lines, rows * lines};
}

// The same of a packed weight, whose panels lie one behind the other.
ZG_INLINE Fetch packed_fetch(const float* panel, long floats) {
  const long lines = floats / (64 / 4);
  return {(const char*)panel, lines, lines, 0, lines};
}

// B packed for good: block after block of `kc` steps, each panel after panel. Null if it is not wanted or not there yet.
static const float* packed_weight(Pool* pool, const Gemm& g, long U, long kc, PackFn pack) {
#if defined(__wasm__)
  (void)pool, (void)g, (void)U, (void)kc, (void)pack;
  return nullptr;
#else
  if (!g.packed) return nullptr;
  if (const float* ready = packed_data(g.packed)) return ready;
  const long width = round_up(g.N, VL);
  float* out = packed_claim(g.packed, U * width);
  if (!out) return nullptr;
  auto job = [&](long panel, int) {
    const int vectors = (int)least((long)NV, parts_of(g.N - panel * NR, VL));
    const Panel source = {g.weight.data, g.weight.scales, g.weight.rows, g.weight.columns, panel * NR, vectors};
    for (long from = 0; from < U; from += kc) {
      const long count = least(kc, U - from);
      pack(source, from, count, out + from * width + panel * NR * count);
    }
  };
  parallel(pool, parts_of(g.N, NR), job);
  const bool isWhole = !pool_cancelled(pool);
  packed_settle(g.packed, isWhole);
  return isWhole ? out : nullptr;
#endif
}

template <bool bf16>
static bool gemm(Pool* pool, const Gemm& g) {
  if (g.M == 0) return true;
  const long U = bf16 ? (g.K + 1) / 2 : g.K;
  const long rowPanels = parts_of(g.M, MR), columnPanels = parts_of(g.N, NR);
  // Equal blocks of steps: 576 is not 512 + 64.
  const long kc = round_up(parts_of(U, parts_of(U, KC)), 2 * VL);
  const PackFn pack = pack_of<bf16>(g.weight.type, g.backward);
  const float* const whole = packed_weight(pool, g, U, kc, pack);
  const long width = round_up(g.N, VL);
  const Split split = split_of(rowPanels, columnPanels, pool_threads(pool), whole != nullptr);
  const long mostRows = parts_of(rowPanels, split.rows) * MR;
  if (!reserve_threads(pool, kc * (mostRows + NR) + VL)) return false;

  auto job = [&](long job, int thread) {
    const long part = job / split.columns, block = job % split.columns;
    const long fromRow = part * rowPanels / split.rows, toRow = (part + 1) * rowPanels / split.rows;
    const long fromColumn = block * columnPanels / split.columns, toColumn = (block + 1) * columnPanels / split.columns;
    const auto vectorsAt = [&](long panel) { return (int)least((long)NV, parts_of(g.N - panel * NR, VL)); };
    // Only the last panel of either kind is not full.
    const int lastRows = (int)least((long)MR, g.M - (toRow - 1) * MR), lastVectors = vectorsAt(toColumn - 1);
    const TileFn tiles[2][2] = {{tile_of<bf16>(MR, NV), tile_of<bf16>(MR, lastVectors)},
                                {tile_of<bf16>(lastRows, NV), tile_of<bf16>(lastRows, lastVectors)}};
    float* const panelOfB = scratch_of(pool, thread);
    float* const packed = panelOfB + kc * NR;
    const auto packedAt = [&](long from, long panel) { return whole + from * width + panel * NR * least(kc, U - from); };
    // What some panels from `begin` on take of the block that begins with step `from`.
    const auto fetch = [&](long from, long begin) {
      const long end = least(begin + FETCHED_PANELS, toColumn), count = least(kc, U - from);
      if (!whole) return fetch_of<bf16>(g, from, count, begin, end);
      return packed_fetch(packedAt(from, begin), least((end - begin) * NR, width - begin * NR) * count);
    };

    for (long from = 0; from < U; from += kc) {
      const long count = least(kc, U - from);
      const bool last = from + count == U;
      for (long row = fromRow; row < toRow; row++) {
        const int rows = (int)least((long)MR, g.M - row * MR);
        pack_rows<bf16>(g.a + row * MR * g.K, g.K, rows, from, count, packed + (row - fromRow) * MR * count);
      }
      for (long begin = fromColumn; begin < toColumn; begin += FETCHED_PANELS) {
        const long end = least(begin + FETCHED_PANELS, toColumn), tilesHere = (end - begin) * (toRow - fromRow);
        Fetch next = {};
        if (end < toColumn) next = fetch(from, end);
        else if (!last) next = fetch(from + kc, fromColumn);
        const long lines = parts_of(next.left, tilesHere);
        for (long panel = begin; panel < end; panel++) {
          const int vectors = vectorsAt(panel);
          const float* b = whole ? packedAt(from, panel) : panelOfB;
          if (!whole) {
            pack({g.weight.data, g.weight.scales, g.weight.rows, g.weight.columns, panel * NR, vectors}, from, count, panelOfB);
          }
          for (long row = fromRow; row < toRow; row++) {
            const long at = row * MR * g.N + panel * NR;
            const Tile t = {count,
                            packed + (row - fromRow) * MR * count,
                            b,
                            g.c + at,
                            g.N,
                            (int)least((long)VL, g.N - panel * NR - (vectors - 1) * VL),
                            from == 0,
                            last && g.bias ? g.bias + panel * NR : nullptr,
                            last && g.residual ? g.residual + at : nullptr,
                            &next,
                            lines};
            tiles[row == toRow - 1][panel == toColumn - 1](t);
          }
        }
      }
    }
  };
  parallel(pool, split.rows * split.columns, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
