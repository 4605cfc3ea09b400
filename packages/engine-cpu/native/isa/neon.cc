// 64-bit Arm: NEON is part of it. Compiled with flags of its own: scripts/toolchain.mjs.
#define ZG_ISA neon
#include "kernels.inc"
