// AVX-512 with the bf16 dot product: Zen 4, Cooper Lake, Sapphire Rapids and later. Compiled with flags of its own:
// scripts/toolchain.mjs.
#define ZG_ISA avx512bf16
#include "kernels.inc"
