// WebAssembly with 128-bit SIMD: four lanes without fused multiply-add. Compiled by scripts/wasm.mjs.
#define ZG_ISA simd128
#include "../isa/kernels.inc"

// The one function of the C library that kernels call (__builtin_log) comes from JavaScript: Math.log.
extern "C" {
__attribute__((import_module("Math"), import_name("log"))) double math_log(double x);
double log(double x) { return math_log(x); }
}
