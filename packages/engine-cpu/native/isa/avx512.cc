// AVX-512 F, BW, DQ, VL: Skylake-X and later. Compiled with flags of its own: scripts/toolchain.mjs.
#define ZG_ISA avx512
#include "kernels.inc"
