// Four lanes without fused multiply-add: what every machine of the build's architecture runs.
#define ZG_ISA portable
#define ZG_PORTABLE
#include "kernels.inc"
