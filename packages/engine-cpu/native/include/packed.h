// Frozen weights in the order in which the GEMM reads them, so that no product packs them again: one copy for all engines of
// the process, made by the product that needs it first. Defined outside of the kernels' translation units, see pool.h.
#pragma once
#include "kernels.h"

namespace zg {

// What a copy is of, and for: the order differs between instruction sets, computes and directions.
struct PackedKey {
  const Kernels* kernels;
  bool bf16, backward;
  Weight weight;
};

// The copy for that key, shared with all who ask while somebody has it open. The weight stays as it is until it is closed.
Packed* packed_open(const PackedKey& key);
void packed_close(Packed* packed);
bool packed_fits(const Packed* packed, const PackedKey& key);
// Bytes of all copies of the process.
size_t packed_bytes();

}  // namespace zg
