// AVX-512 F, BW, DQ, VL: Skylake-X and later. Compiled with that instruction set's own flags: scripts/build.mjs.
#define ZG_ISA avx512
#include "kernels.inc"
