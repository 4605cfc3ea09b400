// Memory for activations and scratch: 64-byte aligned, in huge pages if they are large enough for that to matter.
#pragma once
#include <stddef.h>

namespace zg {

// Null if memory is lacking. Contents are undefined. Never null for 0 bytes.
void* block_alloc(size_t bytes);
void block_free(void* block, size_t bytes);

}  // namespace zg
