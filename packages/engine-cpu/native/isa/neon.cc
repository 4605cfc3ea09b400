// 64-bit Arm: NEON is part of it. Compiled with that instruction set's own flags: scripts/build.mjs.
#define ZG_ISA neon
#include "kernels.inc"
