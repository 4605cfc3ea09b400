// The kernels as JavaScript calls them: the fields of kernels.h's structs in a row. Arguments were checked there
// (src/wasm_operations.ts). Each returns 0 where scratch memory is lacking.
#include "kernels.h"

namespace zg {

extern const Kernels kernels_simd128;

namespace {
constexpr Pool* POOL = nullptr;  // pool.cc has the only one
const Kernels& k = kernels_simd128;
}  // namespace

#define ZG_EXPORT(name) __attribute__((export_name(name))) bool

#define ZG_WEIGHT const void *data, Type type, long rows, long columns
#define ZG_HEADS long T, long H, long G, long d, long window

ZG_EXPORT("embed") run_embed(float* y, ZG_WEIGHT, const int32_t* ids, const float* residual, long T, float scale) {
  return k.embed(POOL, {y, {data, type, rows, columns}, ids, residual, T, scale});
}
ZG_EXPORT("rmsNorm") run_rms_norm(float* y, float* rstd, const float* x, ZG_WEIGHT, long T, long D, float eps) {
  return k.rms_norm(POOL, {y, rstd, x, {data, type, rows, columns}, T, D, eps});
}
ZG_EXPORT("rmsNormBackward")
run_rms_norm_backward(float* dx, const float* dy, const float* x, const float* rstd, const float* residual, ZG_WEIGHT, long T,
                      long D) {
  return k.rms_norm_backward(POOL, {dx, dy, x, rstd, residual, {data, type, rows, columns}, T, D});
}
ZG_EXPORT("layerNorm")
run_layer_norm(float* y, float* stats, const float* x, ZG_WEIGHT, const void* bias, Type biasType, long T, long D, float eps) {
  return k.layer_norm(POOL, {y, stats, x, {data, type, rows, columns}, {bias, biasType, rows, columns}, T, D, eps});
}
ZG_EXPORT("layerNormBackward")
run_layer_norm_backward(float* dx, const float* dy, const float* x, const float* stats, const float* residual, ZG_WEIGHT, long T,
                        long D) {
  return k.layer_norm_backward(POOL, {dx, dy, x, stats, residual, {data, type, rows, columns}, T, D});
}
ZG_EXPORT("linear")
run_linear(float* y, const float* x, ZG_WEIGHT, const float* scales, const void* bias, Type biasType, const float* residual, long T,
           bool isPacked) {
  return k.linear(POOL, {y, x, {data, type, rows, columns, scales}, {bias, biasType, rows, 1}, residual, T, false, nullptr, isPacked});
}
ZG_EXPORT("linearBackward")
run_linear_backward(float* dx, const float* dy, ZG_WEIGHT, const float* scales, const float* residual, long T) {
  return k.linear_backward(POOL, {dx, dy, {data, type, rows, columns, scales}, {}, residual, T, false});
}
ZG_EXPORT("rope") run_rope(float* qkv, const float* cosSin, ZG_HEADS, bool inverse) {
  return k.rope(POOL, {qkv, cosSin, {T, H, G, d, window}, inverse});
}
ZG_EXPORT("attention")
run_attention(float* o, float* lse, const float* qkv, const int32_t* cu, long S, ZG_HEADS, float* const* caches,
              const int32_t* starts) {
  return k.attention(POOL, {o, lse, qkv, cu, S, {T, H, G, d, window}, caches, starts});
}
ZG_EXPORT("attentionBackward")
run_attention_backward(float* dqkv, const float* dO, const float* qkv, const float* o, const float* lse, const int32_t* cu,
                       long S, ZG_HEADS) {
  return k.attention_backward(POOL, {dqkv, dO, qkv, o, lse, cu, S, {T, H, G, d, window}});
}
ZG_EXPORT("promptAttention")
run_prompt_attention(float* y, const float* o, const float* qkv, ZG_HEADS, const PromptSet* sets, long S) {
  return k.prompt_attention(POOL, {y, o, qkv, {T, H, G, d, window}, sets, S});
}
ZG_EXPORT("promptAttentionBackward")
run_prompt_attention_backward(float* dqkv, const float* dO, const float* qkv, ZG_HEADS, const PromptSet* sets, long S) {
  return k.prompt_attention_backward(POOL, {dqkv, dO, qkv, {T, H, G, d, window}, sets, S});
}
ZG_EXPORT("swiglu") run_swiglu(float* y, const float* gateUp, long T, long F) { return k.swiglu(POOL, {y, gateUp, T, F}); }
ZG_EXPORT("swigluBackward") run_swiglu_backward(float* dgateUp, const float* dy, const float* gateUp, long T, long F) {
  return k.swiglu_backward(POOL, {dgateUp, dy, gateUp, T, F});
}
ZG_EXPORT("geglu") run_geglu(float* y, const float* gateUp, long T, long F) { return k.geglu(POOL, {y, gateUp, T, F}); }
ZG_EXPORT("gegluBackward") run_geglu_backward(float* dgateUp, const float* dy, const float* gateUp, long T, long F) {
  return k.geglu_backward(POOL, {dgateUp, dy, gateUp, T, F});
}
ZG_EXPORT("gelu") run_gelu(float* y, const float* up, long T, long F) { return k.gelu(POOL, {y, up, T, F}); }
ZG_EXPORT("geluBackward") run_gelu_backward(float* dup, const float* dy, const float* up, long T, long F) {
  return k.gelu_backward(POOL, {dup, dy, up, T, F});
}
ZG_EXPORT("headLoss")
run_head_loss(float* nll, float* hit, float* dy, const float* y, ZG_WEIGHT, const int32_t* labels, long R, float scale) {
  return k.head_loss(POOL, {nll, hit, dy, y, {data, type, rows, columns}, labels, R, scale, false});
}

}  // namespace zg
