// What the C library does with memory that was given back.
#include "steady_memory.h"

#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace zg {

#if defined(__GLIBC__)
// Setting the threshold, even to what it begins with, also ends its growth.
bool steady_memory() { return mallopt(M_MMAP_THRESHOLD, 128 * 1024) == 1 && mallopt(M_ARENA_MAX, 2) == 1; }
#else
bool steady_memory() { return false; }
#endif

}  // namespace zg
