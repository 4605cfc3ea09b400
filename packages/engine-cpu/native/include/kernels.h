// What the Node-API glue calls and what each instruction set provides: one table of functions over plain structs. Structs of
// operations that are called alike stand beside their kernels (operations.h).
//
// Shape suffixes as in core's engine.ts: T packed tokens, D hidden size, H query heads, G key/value heads, d head dimension,
// Q = H·d, Y = 2·G·d, X = Q + Y, F feed-forward size, V vocabulary, K prompt length, R labelled tokens, S sequences.
// All activations are float32, row-major, without padding. Sizes were checked by the glue. Every function returns false
// if scratch memory is lacking, and has written nothing useful then.
#pragma once
#include <stdint.h>

#include "pool.h"

namespace zg {

enum class Type : int { F32 = 0, BF16 = 1, F16 = 2, I8 = 3, NF4 = 4, I4 = 5 };
// Of a number of the types before NF4.
static inline constexpr long bytes_of(Type type) { return type == Type::F32 ? 4 : type == Type::I8 ? 1 : 2; }

// Four bits: `numbers` of a row behind their scale, a float32 or a float16 (core's formats/four_bits.ts).
struct Block {
  long numbers, scaleBytes;
  constexpr long bytes() const { return scaleBytes + numbers / 2; }
};
static inline constexpr bool is_blocks(Type type) { return type == Type::NF4 || type == Type::I4; }
static inline constexpr Block block_of(Type type) { return type == Type::NF4 ? Block{64, 4} : Block{32, 2}; }

// Where number i of a row lies, or the block that it is in; and the bytes of a row.
static inline constexpr long offset_of(Type type, long i) {
  return is_blocks(type) ? i / block_of(type).numbers * block_of(type).bytes() : i * bytes_of(type);
}
static inline constexpr long row_bytes(Type type, long columns) {
  return is_blocks(type) ? offset_of(type, columns + block_of(type).numbers - 1) : columns * bytes_of(type);
}

// A frozen weight [rows, columns] as it lies in the checkpoint, or quantised: row n of int8 times scales[n], or blocks. y = x·Wᵀ.
struct Weight {
  const void* data;
  Type type;
  long rows, columns;
  const float* scales = nullptr;  // of I8 only; it and blocks only linear and linear_backward take
};

// The copy of a weight for one direction of a linear map; see packed.h. Its bits are those of packing anew.
struct Packed;
// The copy, null as long as there is none.
const float* packed_data(const Packed* packed);
// Memory for the copy, for one caller only, which fills and settles it; null for all others, and if memory is lacking.
float* packed_claim(Packed* packed, size_t floats);
void packed_settle(Packed* packed, bool isWhole);

// In which order sums of a linear map go: the faster one for so many rows, that of many rows, that of a row alone.
enum class Order : int { ANY, PACKED, ALONE };

struct Linear {
  float* y;
  const float* x;
  Weight weight;
  Weight bias;            // data null: none
  const float* residual;  // null: none
  long T;
  bool bf16;  // round activations and weights to bf16, sum in float32
  Packed* packed = nullptr;  // null: none is to be made
  Order order = Order::ANY;
};

struct Heads {
  long T, H, G, d, window;  // window: tokens back that a query sees, 0: all of them; of `attention` alone also UNMASKED
  float cap;                // of scores s: cap · tanh(s / cap); 0: none
};
static constexpr long UNMASKED = -1;  // a query sees its whole sequence
struct Rope {
  float* qkv_TX;
  const float* cosSin_Td;
  Heads heads;
  bool inverse;
};

struct Attention {
  float *o_TQ, *lse_TH;  // lse null: not wanted
  const float* qkv_TX;
  const int32_t* cuSeqlens;
  long S;
  Heads heads;
  // Cached: sequence s reads keys and values from caches[s] (rows of Y), whose last rows are those of this call. Null: packed.
  float* const* caches;
  const int32_t* starts;
  const int32_t* skips;  // leading tokens of each sequence that have no query; null: none
};
struct AttentionBackward {
  float* dqkv_TX;
  const float *do_TQ, *qkv_TX, *o_TQ, *lse_TH;
  const int32_t* cuSeqlens;
  long S;
  Heads heads;
  const int32_t* skips;  // as in `Attention`
};
// Prompts of one set, and the tokens [from, to) that attend to them; the backward's outputs, if it is one.
struct PromptSet {
  const float *kv_KY, *gate_H;
  long K, from, to;
  float *dkv_KY, *dgate_H;
};
struct PromptAttention {
  float* y_TQ;
  const float *o_TQ, *qkv_TX;
  Heads heads;
  const PromptSet* sets;  // S of them; their tokens ascend and do not overlap
  long S;
};
struct PromptAttentionBackward {
  float* dqkv_TX;  // null: not wanted
  const float *do_TQ, *qkv_TX;
  Heads heads;
  const PromptSet* sets;
  long S;
};

// Value head n has key head n·J/N; C = 2·J·A + N·B channels.
struct DeltaSize {
  long T, J, N, A, B, L;  // key heads of A numbers, value heads of B, taps
};
struct GatedDelta {
  float* o_TM;
  const float *x_TC, *gates_T2N;
  Weight conv_CL, rate_N, bias_N;
  const int32_t* cuSeqlens;
  long S;
  DeltaSize size;
  float* const* states;  // of each sequence: L − 1 rows of x, then [N, B, A]; null: none is kept
  const int32_t* starts;
};
struct GatedDeltaBackward {
  float *dx_TC, *dgates_T2N;
  const float *do_TM, *x_TC, *gates_T2N;
  Weight conv_CL, rate_N, bias_N;
  const int32_t* cuSeqlens;
  long S;
  DeltaSize size;
};

struct HeadLoss {
  float *nll_R, *hit_R, *dy_RD;  // dy null: not wanted
  const float* y_RD;
  Weight head;
  const int32_t* labels_R;
  long R;
  float scale, cap;  // cap: as in `Heads`, of logits
  bool bf16;
};
struct Embed {
  float* y_TD;
  Weight table;
  const int32_t* ids_T;
  const float* residual_TD;  // null: none
  long T;
  float scale;
};

// One range of a step; see core's optim/adamw.ts.
struct AdamW {
  float *params, *m, *v;
  const float* gradient;
  long from, to;
  double keep, stepSize, rootCorrection, beta1, beta2, eps;
};

// Fixed-point sums to be added up: two words each, see core's sum/fixed_point.ts.
struct Sums {
  const int32_t* const* from;
  long count, length;  // of arrays, at least one; of numbers in each
};

// Linear maps of the host, see core's kernels/wide_linear.ts; the backward adds to dw and db.
struct WideLinear {
  double* y_TN;
  const double* x_TK;
  const float *w_NK, *b_N;
  long T, N, K;
};
struct WideLinearBackward {
  double *dx_TK, *dw_NK, *db_N;
  const double *dy_TN, *x_TK;
  const float* w_NK;
  long T, N, K;
};

struct Operation;
struct Kernels {
  const char* name;
  bool bf16;  // has the bf16 dot product
  bool (*linear)(Pool*, const Linear&);
  bool (*linear_backward)(Pool*, const Linear&);  // y is dx, x is dy
  bool (*rope)(Pool*, const Rope&);
  bool (*attention)(Pool*, const Attention&);
  bool (*attention_backward)(Pool*, const AttentionBackward&);
  bool (*prompt_attention)(Pool*, const PromptAttention&);
  bool (*prompt_attention_backward)(Pool*, const PromptAttentionBackward&);
  bool (*gated_delta)(Pool*, const GatedDelta&);
  bool (*gated_delta_backward)(Pool*, const GatedDeltaBackward&);
  bool (*head_loss)(Pool*, const HeadLoss&);
  bool (*embed)(Pool*, const Embed&);
  void (*adamw)(Pool*, const AdamW&);
  // Returns how many numbers are not added.
  long (*add_fixed_point)(int32_t* sum, const float* gradient, long length, double limit);
  void (*add_sums)(Pool*, const Sums&, int32_t* out);  // `out` may be one of them
  void (*read_sums)(Pool*, const Sums&, float* out);
  double (*sum_squares)(const float* numbers, long length);  // in their order
  void (*scale)(Pool*, float* numbers, long length, double factor);
  bool (*wide_linear)(Pool*, const WideLinear&);
  bool (*wide_linear_backward)(Pool*, const WideLinearBackward&);
  // Those that are called alike (operations.h), in the same order on every level.
  const Operation* operations;
  int operationCount;
};

// One per translation unit in isa/. Only those that the build's architecture has exist.
extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512, kernels_avx512bf16;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

// The instruction sets of this build, best first, each with whether this machine runs it.
struct Level {
  const Kernels* kernels;
  bool runs;
};
const Level* cpu_levels(int* count);

}  // namespace zg
