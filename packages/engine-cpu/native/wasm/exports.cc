// The kernels as JavaScript calls them. Arguments were checked there (src/wasm_operations.ts). Special ones take the fields of
// kernels.h's structs in a row; all others have one entry, which finds its struct in `arguments`. Each returns 0 if scratch
// memory is lacking.
#include "kernels.h"
#include "operations.h"

namespace zg {

extern const Kernels kernels_simd128;

namespace {
constexpr Pool* POOL = nullptr;  // pool.cc has the only one
const Kernels& k = kernels_simd128;
}  // namespace

#define ZG_EXPORT_AS(name) __attribute__((export_name(name)))
#define ZG_EXPORT(name) ZG_EXPORT_AS(name) bool

// A field is one word here, a weight five, so a struct is its fields' words in a row.
static_assert(sizeof(long) == 4 && sizeof(float*) == 4 && sizeof(Weight) == 20, "words");
alignas(8) static char arguments[MOST_BYTES];

ZG_EXPORT_AS("arguments") void* own_arguments() { return arguments; }
ZG_EXPORT("run") run_operation(long place) { return k.operations[place].run(POOL, arguments); }
ZG_EXPORT_AS("operationCount") int operation_count() { return k.operationCount; }
ZG_EXPORT_AS("operationName") const char* operation_name(long place) { return k.operations[place].name; }
ZG_EXPORT_AS("operationFields") const char* operation_fields(long place) { return k.operations[place].text; }

#define ZG_WEIGHT const void *data, Type type, long rows, long columns
#define ZG_HEADS long T, long H, long G, long d, long window, float cap

ZG_EXPORT("embed") run_embed(float* y, ZG_WEIGHT, const int32_t* ids, const float* residual, long T, float scale) {
  return k.embed(POOL, {y, {data, type, rows, columns}, ids, residual, T, scale});
}
ZG_EXPORT("linear")
run_linear(float* y, const float* x, ZG_WEIGHT, const float* scales, const void* bias, Type biasType, const float* residual, long T,
           Order order) {
  return k.linear(POOL, {y, x, {data, type, rows, columns, scales}, {bias, biasType, rows, 1}, residual, T, false, nullptr, order});
}
ZG_EXPORT("linearBackward")
run_linear_backward(float* dx, const float* dy, ZG_WEIGHT, const float* scales, const float* residual, long T) {
  return k.linear_backward(POOL, {dx, dy, {data, type, rows, columns, scales}, {}, residual, T, false});
}
ZG_EXPORT("rope") run_rope(float* qkv, const float* cosSin, ZG_HEADS, bool inverse) {
  return k.rope(POOL, {qkv, cosSin, {T, H, G, d, window, cap}, inverse});
}
ZG_EXPORT("attention")
run_attention(float* o, float* lse, const float* qkv, const int32_t* cu, long S, ZG_HEADS, float* const* caches,
              const int32_t* starts, const int32_t* skips) {
  return k.attention(POOL, {o, lse, qkv, cu, S, {T, H, G, d, window, cap}, caches, starts, skips});
}
ZG_EXPORT("attentionBackward")
run_attention_backward(float* dqkv, const float* dO, const float* qkv, const float* o, const float* lse, const int32_t* cu,
                       long S, ZG_HEADS, const int32_t* skips) {
  return k.attention_backward(POOL, {dqkv, dO, qkv, o, lse, cu, S, {T, H, G, d, window, cap}, skips});
}
ZG_EXPORT("promptAttention")
run_prompt_attention(float* y, const float* o, const float* qkv, ZG_HEADS, const PromptSet* sets, long S) {
  return k.prompt_attention(POOL, {y, o, qkv, {T, H, G, d, window, cap}, sets, S});
}
ZG_EXPORT("promptAttentionBackward")
run_prompt_attention_backward(float* dqkv, const float* dO, const float* qkv, ZG_HEADS, const PromptSet* sets, long S) {
  return k.prompt_attention_backward(POOL, {dqkv, dO, qkv, {T, H, G, d, window, cap}, sets, S});
}
#define ZG_DELTA_WEIGHTS                                                                                                        \
  const void *conv, Type convType, long convRows, long convColumns, const void *rate, Type rateType, long rateRows,            \
      long rateColumns, const void *bias, Type biasType, long biasRows, long biasColumns
#define ZG_DELTA_GIVEN \
  {conv, convType, convRows, convColumns}, {rate, rateType, rateRows, rateColumns}, {bias, biasType, biasRows, biasColumns}
ZG_EXPORT("gatedDelta")
run_gated_delta(float* o, const float* x, const float* gates, ZG_DELTA_WEIGHTS, const int32_t* cu, long S, long T, long J, long N,
                long A, long B, long L, float* const* states, const int32_t* starts) {
  return k.gated_delta(POOL, {o, x, gates, ZG_DELTA_GIVEN, cu, S, {T, J, N, A, B, L}, states, starts});
}
ZG_EXPORT("gatedDeltaBackward")
run_gated_delta_backward(float* dx, float* dgates, const float* dO, const float* x, const float* gates, ZG_DELTA_WEIGHTS,
                         const int32_t* cu, long S, long T, long J, long N, long A, long B, long L) {
  return k.gated_delta_backward(POOL, {dx, dgates, dO, x, gates, ZG_DELTA_GIVEN, cu, S, {T, J, N, A, B, L}});
}
ZG_EXPORT("headLoss")
run_head_loss(float* nll, float* hit, float* dy, const float* y, ZG_WEIGHT, const int32_t* labels, long R, float scale, float cap) {
  return k.head_loss(POOL, {nll, hit, dy, y, {data, type, rows, columns}, labels, R, scale, cap, false});
}

}  // namespace zg
