// The engine's operations as JavaScript calls them: (engine, outputs, inputs, sizes). Sizes come first where arrays are
// checked against them. Every argument is checked before anything runs; see engine.ts of @zerogate/core for what each does.
#include <string.h>

#include <vector>

#include "args.h"

namespace zg {

namespace {

napi_value done(Args& args, bool worked) {
  if (!worked) args.fail(Wrong::RANGE, "scratch memory is more than the system gives");
  return nullptr;
}

Heads heads(Args& args) {
  const Heads h = {args.size("T", 0), args.size("H", 1), args.size("G", 1), args.size("d", 1), args.size("window", 0)};
  if (h.H % h.G != 0) args.fail(Wrong::RANGE, "%ld query heads do not share %ld key heads evenly", h.H, h.G);
  return h;
}
long floats_q(const Heads& h) { return times(h.T, h.H, h.d); }
long floats_x(const Heads& h) { return times(h.T, h.H + 2 * h.G, h.d); }

// Offsets 0 … T of S sequences.
const int32_t* offsets(Args& args, long T, long* S) {
  long length = -1;
  const int32_t* cu = args.ints("cuSeqlens", &length);
  *S = length - 1;
  bool good = args.ok() && length >= 1 && cu[0] == 0 && cu[length - 1] == T;
  for (long s = 0; good && s + 1 < length; s++) good = cu[s] <= cu[s + 1];
  if (!good) args.fail(Wrong::RANGE, "cuSeqlens must ascend from 0 to T=%ld", T);
  return cu;
}

// Ids below `limit`, for rows of something.
const int32_t* rows_below(Args& args, const char* name, long limit, long* count) {
  const int32_t* rows = args.ints(name, count);
  for (long i = 0; args.ok() && i < *count; i++) {
    if (rows[i] < 0 || rows[i] >= limit) args.fail(Wrong::RANGE, "row %d is named, there are %ld", rows[i], limit);
  }
  return rows;
}

// (engine, table, ids, y)
napi_value embed(napi_env env, napi_callback_info info) {
  Args args(env, info, "run embed");
  Engine* engine = args.engine();
  const Weight table = args.weight("table");
  long T = -1;
  const int32_t* ids = args.ints("ids_T", &T);
  for (long t = 0; args.ok() && t < T; t++) {
    if (ids[t] >= 0 && ids[t] < table.rows) continue;
    args.attempt("embed token %d", ids[t]);
    args.fail(Wrong::RANGE, "the vocabulary has %ld entries", table.rows);
  }
  float* y = args.array("y_TD", times(T, table.columns));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->embed(engine->pool, {y, table, ids, T}));
}

// (engine, T, D, rows, of R, of T): y[r] = x[rows[r]], or y[rows[r]] = x[r] with all other rows 0
template <bool scatter>
napi_value move_rows(napi_env env, napi_callback_info info) {
  Args args(env, info, scatter ? "run scatterRows" : "run gatherRows");
  args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  long R = -1;
  const int32_t* rows = rows_below(args, "rows_R", T, &R);
  float* few = args.array(scatter ? "x_RD" : "y_RD", times(R, D));
  float* all = args.array(scatter ? "y_TD" : "x_TD", times(T, D));
  if (!args.ok()) return nullptr;
  if (scatter) memset(all, 0, 4 * T * D);
  for (long r = 0; r < R; r++) {
    float *one = few + r * D, *other = all + rows[r] * D;
    memcpy(scatter ? other : one, scatter ? one : other, 4 * D);
  }
  return nullptr;
}

// (engine, T, D, eps, weight, y, rstd, x)
napi_value rms_norm(napi_env env, napi_callback_info info) {
  Args args(env, info, "run rmsNorm");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  const float eps = (float)args.number("eps");
  const Weight weight = args.weight("weight_D");
  if (weight.rows * weight.columns != D) args.fail(Wrong::RANGE, "weight_D has %ld numbers, D is %ld", weight.rows, D);
  const long TD = times(T, D);
  float *y = args.array("y_TD", TD), *rstd = args.array("rstd_T", T), *x = args.array("x_TD", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->rms_norm(engine->pool, {y, rstd, x, weight, T, D, eps}));
}

// (engine, T, D, weight, dx, dy, x, rstd, residual?)
napi_value rms_norm_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run rmsNormBackward");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  const Weight weight = args.weight("weight_D");
  if (weight.rows * weight.columns != D) args.fail(Wrong::RANGE, "weight_D has %ld numbers, D is %ld", weight.rows, D);
  const long TD = times(T, D);
  float *dx = args.array("dx_TD", TD), *dy = args.array("dy_TD", TD), *x = args.array("x_TD", TD);
  float *rstd = args.array("rstd_T", T), *residual = args.array_or_null("residual_TD", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->rms_norm_backward(engine->pool, {dx, dy, x, rstd, residual, weight, T, D}));
}

// (engine, T, from, to, weight, y, x, residual?, bias?): forward and backward over rows from … to of the weight
template <bool backward>
napi_value linear(napi_env env, napi_callback_info info) {
  Args args(env, info, backward ? "run linearBackward" : "run linear");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), from = args.size("from", 0), to = args.size("to", 1);
  Weight weight = args.weight("weight");
  if (from >= to || to > weight.rows) {
    args.fail(Wrong::RANGE, "rows %ld to %ld are asked for, the weight has %ld", from, to, weight.rows);
  }
  const long wide = times(T, to - from), narrow = times(T, weight.columns);
  Linear l = {};
  l.y = args.array(backward ? "dx" : "y", backward ? narrow : wide);
  l.x = args.array(backward ? "dy" : "x", backward ? wide : narrow);
  l.residual = args.array_or_null("residual", backward ? narrow : wide);
  Weight bias = backward ? Weight{} : args.weight("bias", true);
  if (bias.data && bias.rows * bias.columns != weight.rows) {
    args.fail(Wrong::RANGE, "bias has %ld numbers, the weight has %ld rows", bias.rows * bias.columns, weight.rows);
  }
  if (!args.ok()) return nullptr;
  if (bias.data) bias.data = static_cast<const char*>(bias.data) + from * bytes_of(bias.type);
  weight.data = static_cast<const char*>(weight.data) + from * weight.columns * bytes_of(weight.type);
  weight.rows = to - from;
  l.weight = weight;
  l.bias = bias;
  l.T = T;
  l.bf16 = engine->bf16;
  return done(args, (backward ? engine->kernels->linear_backward : engine->kernels->linear)(engine->pool, l));
}

// (engine, T, H, G, d, window, inverse, qkv, cosSin)
napi_value rope(napi_env env, napi_callback_info info) {
  Args args(env, info, "run rope");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  if (h.d % 2 != 0) args.fail(Wrong::RANGE, "the head dimension is %ld, an even one is needed", h.d);
  const bool inverse = args.flag();
  float *qkv = args.array("qkv_TX", floats_x(h)), *cosSin = args.array("cosSin_Td", times(h.T, h.d));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->rope(engine->pool, {qkv, cosSin, h, inverse}));
}

// (engine, T, H, G, d, window, cuSeqlens, o, lse, qkv)
napi_value attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run attention");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  float *o = args.array("o_TQ", floats_q(h)), *lse = args.array("lse_TH", times(h.T, h.H));
  float* qkv = args.array("qkv_TX", floats_x(h));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->attention(engine->pool, {o, lse, qkv, cu, S, h, nullptr, nullptr}));
}

// (engine, T, H, G, d, window, cuSeqlens, dqkv, do, qkv, o, lse)
napi_value attention_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run attentionBackward");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  float *dqkv = args.array("dqkv_TX", floats_x(h)), *dO = args.array("do_TQ", floats_q(h));
  float *qkv = args.array("qkv_TX", floats_x(h)), *o = args.array("o_TQ", floats_q(h));
  float* lse = args.array("lse_TH", times(h.T, h.H));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->attention_backward(engine->pool, {dqkv, dO, qkv, o, lse, cu, S, h}));
}

// (engine, T, H, G, d, window, cuSeqlens, o, qkv, starts, capacities, handles of the caches)
napi_value cached_attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run cachedAttention");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  const long Y = times(2, h.G, h.d), X = times(h.H + 2 * h.G, h.d);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  float *o = args.array("o_TQ", floats_q(h)), *qkv = args.array("qkv_TX", floats_x(h));
  const int32_t* starts = args.ints("starts", &S);
  const int32_t* capacities = args.ints("capacities", &S);
  const double* handles = args.doubles("caches", &S);
  std::vector<float*> caches;
  for (long s = 0; args.ok() && s < S; s++) {
    const long count = (long)starts[s] + cu[s + 1] - cu[s];
    if (starts[s] < 0 || count > capacities[s]) {
      args.attempt("keep %ld tokens", count);
      args.fail(Wrong::RANGE, "the cache was made for %d", capacities[s]);
    }
    caches.push_back(args.array_of("a cache", handles[s], times(capacities[s], Y)));
  }
  if (!args.ok()) return nullptr;
  for (long s = 0; s < S; s++) {
    for (long t = cu[s]; t < cu[s + 1]; t++) memcpy(caches[s] + (starts[s] + t - cu[s]) * Y, qkv + t * X + h.H * h.d, 4 * Y);
  }
  return done(args, engine->kernels->attention(engine->pool, {o, nullptr, qkv, cu, S, h, caches.data(), starts}));
}

// (engine, T, H, G, d, window, K, y, o, qkv, kv, gate)
napi_value prompt_attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run promptAttention");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  const long K = args.size("K", 1);
  float *y = args.array("y_TQ", floats_q(h)), *o = args.array("o_TQ", floats_q(h));
  float *qkv = args.array("qkv_TX", floats_x(h)), *kv = args.array("kv_KY", times(K, 2 * h.G, h.d));
  long count = h.H;
  const float* gate = args.floats("gate_H", &count);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->prompt_attention(engine->pool, {y, o, qkv, kv, gate, h, K}));
}

// (engine, T, H, G, d, window, K, dkv, dgate, do, qkv, kv, gate, dqkv?)
napi_value prompt_attention_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run promptAttentionBackward");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  const long K = args.size("K", 1), KY = times(K, 2 * h.G, h.d);
  float *dkv = args.array("dkv_KY", KY), *dgate = args.array("dgate_H", h.H);
  float *dO = args.array("do_TQ", floats_q(h)), *qkv = args.array("qkv_TX", floats_x(h)), *kv = args.array("kv_KY", KY);
  long count = h.H;
  const float* gate = args.floats("gate_H", &count);
  float* dqkv = args.array_or_null("dqkv_TX", floats_x(h));
  if (!args.ok()) return nullptr;
  const PromptAttentionBackward backward = {dkv, dgate, dqkv, dO, qkv, kv, gate, h, K};
  return done(args, engine->kernels->prompt_attention_backward(engine->pool, backward));
}

// (engine, T, F, y, gateUp)
napi_value swiglu(napi_env env, napi_callback_info info) {
  Args args(env, info, "run swiglu");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1);
  float *y = args.array("y_TF", times(T, F)), *gateUp = args.array("gateUp", times(T, 2, F));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->swiglu(engine->pool, {y, gateUp, T, F}));
}

// (engine, T, F, dgateUp, dy, gateUp)
napi_value swiglu_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run swigluBackward");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1);
  float *dgateUp = args.array("dgateUp", times(T, 2, F)), *dy = args.array("dy_TF", times(T, F));
  float* gateUp = args.array("gateUp", times(T, 2, F));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->swiglu_backward(engine->pool, {dgateUp, dy, gateUp, T, F}));
}

// (engine, R, scale, head, labels, nll, hit, y, dy?)
napi_value head_loss(napi_env env, napi_callback_info info) {
  Args args(env, info, "run headLoss");
  Engine* engine = args.engine();
  long R = args.size("R", 0);
  const float scale = (float)args.number("scale");
  const Weight head = args.weight("head_VD");
  const int32_t* labels = args.ints("labels_R", &R);
  const long RD = times(R, head.columns);
  float *nll = args.array("nll_R", R), *hit = args.array("hit_R", R), *y = args.array("y_RD", RD), *dy = args.array_or_null("dy_RD", RD);
  for (long r = 0; args.ok() && r < R; r++) {
    if (labels[r] < 0 || labels[r] >= head.rows) {
      args.attempt("score label %d", labels[r]);
      args.fail(Wrong::RANGE, "the head has %ld rows", head.rows);
    }
  }
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->head_loss(engine->pool, {nll, hit, dy, y, head, labels, R, scale, engine->bf16}));
}

}  // namespace

void add_op_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
#define ZG_FUNCTION(name, function) {name, nullptr, function, nullptr, nullptr, nullptr, napi_enumerable, nullptr}
      ZG_FUNCTION("embed", embed),
      ZG_FUNCTION("gatherRows", move_rows<false>),
      ZG_FUNCTION("scatterRows", move_rows<true>),
      ZG_FUNCTION("rmsNorm", rms_norm),
      ZG_FUNCTION("rmsNormBackward", rms_norm_backward),
      ZG_FUNCTION("linear", linear<false>),
      ZG_FUNCTION("linearBackward", linear<true>),
      ZG_FUNCTION("rope", rope),
      ZG_FUNCTION("attention", attention),
      ZG_FUNCTION("attentionBackward", attention_backward),
      ZG_FUNCTION("cachedAttention", cached_attention),
      ZG_FUNCTION("promptAttention", prompt_attention),
      ZG_FUNCTION("promptAttentionBackward", prompt_attention_backward),
      ZG_FUNCTION("swiglu", swiglu),
      ZG_FUNCTION("swigluBackward", swiglu_backward),
      ZG_FUNCTION("headLoss", head_loss),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
