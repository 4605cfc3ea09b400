// What the Node-API glue calls and what each instruction set provides: one table of functions over plain structs.
//
// Shape suffixes as in core's engine.ts: T packed tokens, D hidden size, H query heads, G key/value heads, d head dimension,
// Q = H·d, Y = 2·G·d, X = Q + Y, F feed-forward size, V vocabulary, K prompt length, R labelled tokens, S sequences.
// All activations are float32, row-major, without padding. Sizes were checked by the glue. Every function returns false
// where scratch memory is lacking, and has written nothing useful then.
#pragma once
#include <stdint.h>

#include "pool.h"

namespace zg {

enum class Type : int { F32 = 0, BF16 = 1, F16 = 2, I8 = 3 };
static inline constexpr long bytes_of(Type type) { return type == Type::F32 ? 4 : type == Type::I8 ? 1 : 2; }

// A frozen weight [rows, columns] as it lies in the checkpoint, or quantised: row n of int8 times scales[n]. y = x·Wᵀ.
struct Weight {
  const void* data;
  Type type;
  long rows, columns;
  const float* scales = nullptr;  // of I8 only, which only linear and linear_backward take
};

// The copy of a weight for one direction of a linear map; see packed.h. Its bits are those of packing anew.
struct Packed;
// The copy, null as long as there is none.
const float* packed_data(const Packed* packed);
// Memory for the copy, for one caller only, which fills and settles it; null for all others, and where memory is lacking.
float* packed_claim(Packed* packed, size_t floats);
void packed_settle(Packed* packed, bool isWhole);

struct Linear {
  float* y;
  const float* x;
  Weight weight;
  Weight bias;            // data null: none
  const float* residual;  // null: none
  long T;
  bool bf16;  // round activations and weights to bf16, sum in float32
  Packed* packed = nullptr;  // null: none is to be made
  bool isPacked = false;     // the order of many rows for few of them too
};

struct RmsNorm {
  float *y_TD, *rstd_T;
  const float* x_TD;
  Weight weight;
  long T, D;
  float eps;
};
struct RmsNormBackward {
  float* dx_TD;
  const float *dy_TD, *x_TD, *rstd_T, *residual_TD;
  Weight weight;
  long T, D;
};

struct LayerNorm {
  float *y_TD, *stats_T2;
  const float* x_TD;
  Weight weight, bias;
  long T, D;
  float eps;
};
struct LayerNormBackward {
  float* dx_TD;
  const float *dy_TD, *x_TD, *stats_T2, *residual_TD;
  Weight weight;
  long T, D;
};

struct Heads {
  long T, H, G, d, window;
};
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
};
struct AttentionBackward {
  float* dqkv_TX;
  const float *do_TQ, *qkv_TX, *o_TQ, *lse_TH;
  const int32_t* cuSeqlens;
  long S;
  Heads heads;
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

struct Swiglu {
  float* y_TF;
  const float* gateUp;
  long T, F;
};
struct SwigluBackward {
  float* dgateUp;
  const float *dy_TF, *gateUp;
  long T, F;
};

using Geglu = Swiglu;
using GegluBackward = SwigluBackward;
struct Gelu {
  float* y_TF;
  const float* up_TF;
  long T, F;
};
struct GeluBackward {
  float* dup_TF;
  const float *dy_TF, *up_TF;
  long T, F;
};

struct HeadLoss {
  float *nll_R, *hit_R, *dy_RD;  // dy null: not wanted
  const float* y_RD;
  Weight head;
  const int32_t* labels_R;
  long R;
  float scale;
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

struct Kernels {
  const char* name;
  bool bf16;  // has the bf16 dot product
  bool (*linear)(Pool*, const Linear&);
  bool (*linear_backward)(Pool*, const Linear&);  // y is dx, x is dy
  bool (*rms_norm)(Pool*, const RmsNorm&);
  bool (*rms_norm_backward)(Pool*, const RmsNormBackward&);
  bool (*layer_norm)(Pool*, const LayerNorm&);
  bool (*layer_norm_backward)(Pool*, const LayerNormBackward&);
  bool (*rope)(Pool*, const Rope&);
  bool (*attention)(Pool*, const Attention&);
  bool (*attention_backward)(Pool*, const AttentionBackward&);
  bool (*prompt_attention)(Pool*, const PromptAttention&);
  bool (*prompt_attention_backward)(Pool*, const PromptAttentionBackward&);
  bool (*swiglu)(Pool*, const Swiglu&);
  bool (*swiglu_backward)(Pool*, const SwigluBackward&);
  bool (*geglu)(Pool*, const Geglu&);
  bool (*geglu_backward)(Pool*, const GegluBackward&);
  bool (*gelu)(Pool*, const Gelu&);
  bool (*gelu_backward)(Pool*, const GeluBackward&);
  bool (*head_loss)(Pool*, const HeadLoss&);
  bool (*embed)(Pool*, const Embed&);
  void (*adamw)(const AdamW&);
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

// Adds rint(g·2⁵³) to int64 sums (pairs of words) as core's sum/fixed_point.ts does, bit for bit; returns how many numbers
// were not added.
long add_fixed_point(int32_t* sum, const float* gradient, long length, double limit);

}  // namespace zg
