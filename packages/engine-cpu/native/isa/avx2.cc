// AVX2, FMA and F16C: Haswell, Zen and later. Compiled with that instruction set's own flags: scripts/build.mjs.
#define ZG_ISA avx2
#include "kernels.inc"
