// What kernels take from the C library; the compiler expands both (memory.copy, memory.fill).
#pragma once
#include <stddef.h>

extern "C" {
void* memcpy(void* to, const void* from, size_t bytes);
void* memset(void* to, int byte, size_t bytes);
}
