// Memory of the WebAssembly module: one heap behind its stack, grown by pages and never given back.
#pragma once
#include <stddef.h>

namespace zg {

// 64-byte aligned, contents undefined, null if memory is lacking.
void* allocate(size_t bytes);
// Null is nothing.
void release(void* block);

}  // namespace zg
