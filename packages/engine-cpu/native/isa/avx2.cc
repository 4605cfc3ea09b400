// AVX2, FMA and F16C: Haswell, Zen and later. Compiled with flags of its own: scripts/toolchain.mjs.
#define ZG_ISA avx2
#include "kernels.inc"
