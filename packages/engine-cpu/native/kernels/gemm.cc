// Packed GEMM after Goto & van de Geijn (ACM TOMS 34(3), 2008) for a frozen weight in its checkpoint's dtype.
//
//   forward:  y_TN = x_TK · Wᵀ (+ bias_N) (+ residual)        backward: dx_TK = dy_TN · W (+ residual)
//
// The activations are packed once and shared; then each job takes a block of columns, packs the weight's part of it into its
// own L2 and runs the register tile over all rows. Both directions read the one copy of the weight.

#include "simd.h"

namespace zg {
namespace ZG_ISA {

constexpr long KC = 512;                    // steps of the contraction at a time: a row panel of A stays in L1
constexpr long NC = 288 / (NV * VL) * (NV * VL);  // columns at a time: a KC × NC block of B stays in L2
constexpr long SLICE = 4;                   // steps of a block packed at a time in backward: 32 were 7 % slower at M = 128
constexpr long MIN_JOB_ROWS = 512;          // fewer rows would not repay the packing of their B

struct Gemm {
  long M, N, K;  // C[M, N] = A[M, K] · B[K, N]
  const float* a;
  Weight weight;
  bool backward;
  float* c;
  const float* bias;
  const float* residual;
};

template <bool bf16>
static bool gemm(Pool* pool, const Gemm& g) {
  if (g.M == 0) return true;
  constexpr long NR = NV * VL;
  const long U = bf16 ? (g.K + 1) / 2 : g.K;
  const long rowPanels = (g.M + MR - 1) / MR;
  const long columnPanels = (g.N + NR - 1) / NR;
  // Equal blocks of steps: 576 is not 512 + 64.
  const long kBlocks = (U + KC - 1) / KC;
  const long kc = round_up((U + kBlocks - 1) / kBlocks, VL);

  float* packed = scratch(pool, PACKED, rowPanels * MR * U + VL);
  if (!packed || !reserve_threads(pool, kc * NC)) return false;

  auto packJob = [&](long job, int) {
    const int rows = (int)least((long)MR, g.M - job * MR);
    for (long from = 0; from < U; from += kc) {
      const long count = least(kc, U - from);
      pack_rows<bf16>(g.a + job * MR * g.K, g.K, rows, from, count, packed + from * rowPanels * MR + job * MR * count);
    }
  };
  parallel(pool, rowPanels, packJob);

  const long threads = pool_threads(pool);
  const long perBlock = NC / NR;
  long columnBlocks = (columnPanels + perBlock - 1) / perBlock;
  columnBlocks = least(columnPanels, round_up(columnBlocks, threads));
  long rowBlocks = 1;
  while (threads > 1 && columnBlocks * rowBlocks < 3 * threads && g.M / (rowBlocks + 1) >= MIN_JOB_ROWS) rowBlocks++;
  const PackFn pack = pack_of<bf16>(g.weight.type, g.backward);

  auto job = [&](long job, int thread) {
    float* b = scratch_of(pool, thread);
    const long block = job / rowBlocks, part = job % rowBlocks;
    const long fromColumn = block * columnPanels / columnBlocks, toColumn = (block + 1) * columnPanels / columnBlocks;
    const long fromRow = part * rowPanels / rowBlocks, toRow = (part + 1) * rowPanels / rowBlocks;
    const auto vectorsAt = [&](long panel) { return (int)least((long)NV, (g.N - panel * NR + VL - 1) / VL); };
    // Only the last panel of either kind is not full.
    const int lastRows = (int)least((long)MR, g.M - (toRow - 1) * MR), lastVectors = vectorsAt(toColumn - 1);
    const TileFn tiles[2][2] = {{tile_of<bf16>(MR, NV), tile_of<bf16>(MR, lastVectors)},
                                {tile_of<bf16>(lastRows, NV), tile_of<bf16>(lastRows, lastVectors)}};

    for (long from = 0; from < U; from += kc) {
      const long count = least(kc, U - from);
      const bool last = from + count == U;
      // Along the weight's rows: all panels of a few rows before the next rows, so that memory is read in long runs.
      const long slice = g.backward ? SLICE : count;
      for (long done = 0; done < count; done += slice) {
        for (long panel = fromColumn; panel < toColumn; panel++) {
          const int vectors = vectorsAt(panel);
          const Panel p = {g.weight.data, g.weight.rows, g.weight.columns, panel * NR, vectors};
          pack(p, from + done, least(slice, count - done), b + (panel - fromColumn) * NR * count + done * vectors * VL);
        }
      }
      for (long row = fromRow; row < toRow; row++) {
        const float* a = packed + from * rowPanels * MR + row * MR * count;
        for (long panel = fromColumn; panel < toColumn; panel++) {
          const int vectors = vectorsAt(panel);
          const long at = row * MR * g.N + panel * NR;
          const Tile t = {count,
                          a,
                          b + (panel - fromColumn) * NR * count,
                          g.c + at,
                          g.N,
                          (int)least((long)VL, g.N - panel * NR - (vectors - 1) * VL),
                          from == 0,
                          last && g.bias ? g.bias + panel * NR : nullptr,
                          last && g.residual ? g.residual + at : nullptr};
          tiles[row == toRow - 1][panel == toColumn - 1](t);
        }
      }
    }
  };
  parallel(pool, columnBlocks * rowBlocks, job);
  return true;
}

}  // namespace ZG_ISA
}  // namespace zg
