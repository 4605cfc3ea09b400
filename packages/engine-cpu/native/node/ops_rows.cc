// Operations on rows as JavaScript calls them: embedding, norms, linear maps, activations, head and loss. Sizes come first, then
// outputs, then inputs. Every argument is checked before anything runs; core's engine.ts says what each does.
#include <string.h>

#include "args.h"

namespace zg {

namespace {

// Ids below `limit`, for rows of something.
const int32_t* rows_below(Args& args, const char* name, long limit, long* count) {
  const int32_t* rows = args.ints(name, count);
  for (long i = 0; args.ok() && i < *count; i++) {
    if (rows[i] < 0 || rows[i] >= limit) args.fail(Wrong::RANGE, "row %d is named, there are %ld", rows[i], limit);
  }
  return rows;
}

// (engine, scale, table, ids, y, residual?)
napi_value embed(napi_env env, napi_callback_info info) {
  Args args(env, info, "run embed");
  Engine* engine = args.engine();
  const float scale = (float)args.number("scale");
  const Weight table = args.weight("table");
  long T = -1;
  const int32_t* ids = args.ints("ids_T", &T);
  for (long t = 0; args.ok() && t < T; t++) {
    if (ids[t] >= 0 && ids[t] < table.rows) continue;
    args.attempt("embed token %d", ids[t]);
    args.fail(Wrong::RANGE, "the vocabulary has %ld entries", table.rows);
  }
  const long TD = times(T, table.columns);
  float *y = args.array("y_TD", TD), *residual = args.array_or_null("residual", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->embed(engine->pool, {y, table, ids, residual, T, scale}));
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

// A weight of D numbers.
Weight vector_of(Args& args, const char* name, long D) {
  const Weight weight = args.weight(name);
  const long numbers = times(weight.rows, weight.columns);
  if (numbers != D) args.fail(Wrong::RANGE, "%s has %ld numbers, D is %ld", name, numbers, D);
  return weight;
}

// (engine, T, D, eps, weight, y, rstd, x)
napi_value rms_norm(napi_env env, napi_callback_info info) {
  Args args(env, info, "run rmsNorm");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  const float eps = (float)args.number("eps");
  const Weight weight = vector_of(args, "weight_D", D);
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
  const Weight weight = vector_of(args, "weight_D", D);
  const long TD = times(T, D);
  float *dx = args.array("dx_TD", TD), *dy = args.array("dy_TD", TD), *x = args.array("x_TD", TD);
  float *rstd = args.array("rstd_T", T), *residual = args.array_or_null("residual_TD", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->rms_norm_backward(engine->pool, {dx, dy, x, rstd, residual, weight, T, D}));
}

// (engine, T, D, eps, weight, bias, y, stats, x)
napi_value layer_norm(napi_env env, napi_callback_info info) {
  Args args(env, info, "run layerNorm");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  const float eps = (float)args.number("eps");
  const Weight weight = vector_of(args, "weight_D", D), bias = vector_of(args, "bias_D", D);
  const long TD = times(T, D);
  float *y = args.array("y_TD", TD), *stats = args.array("stats_T2", times(T, 2)), *x = args.array("x_TD", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->layer_norm(engine->pool, {y, stats, x, weight, bias, T, D, eps}));
}

// (engine, T, D, weight, dx, dy, x, stats, residual?)
napi_value layer_norm_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run layerNormBackward");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), D = args.size("D", 1);
  const Weight weight = vector_of(args, "weight_D", D);
  const long TD = times(T, D);
  float *dx = args.array("dx_TD", TD), *dy = args.array("dy_TD", TD), *x = args.array("x_TD", TD);
  float *stats = args.array("stats_T2", times(T, 2)), *residual = args.array_or_null("residual_TD", TD);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->layer_norm_backward(engine->pool, {dx, dy, x, stats, residual, weight, T, D}));
}

// (engine, T, from, to, weight, y, x, residual?, bias?, isPacked, packed?): forward over rows from … to of the weight; backward
// without a bias and an order. The packed copy is of the whole weight, `isPacked` asks for the order of many rows.
template <bool backward>
napi_value linear(napi_env env, napi_callback_info info) {
  Args args(env, info, backward ? "run linearBackward" : "run linear");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), from = args.size("from", 0), to = args.size("to", 1);
  Weight weight = args.linear_map("weight");
  if (from >= to || to > weight.rows) {
    args.fail(Wrong::RANGE, "rows %ld to %ld are asked for, the weight has %ld", from, to, weight.rows);
  }
  const long wide = times(T, to - from), narrow = times(T, weight.columns);
  Linear l = {};
  l.y = args.array(backward ? "dx" : "y", backward ? narrow : wide);
  l.x = args.array(backward ? "dy" : "x", backward ? wide : narrow);
  l.residual = args.array_or_null("residual", backward ? narrow : wide);
  Weight bias = backward ? Weight{} : args.weight("bias", true);
  if (bias.data && times(bias.rows, bias.columns) != weight.rows) {
    const long numbers = times(bias.rows, bias.columns);
    args.fail(Wrong::RANGE, "bias has %ld numbers, the weight has %ld rows", numbers, weight.rows);
  }
  if (!backward) l.isPacked = args.flag();
  l.packed = args.packed(weight, backward);
  if (to - from < weight.rows) l.packed = nullptr;
  if (!args.ok()) return nullptr;
  if (bias.data) bias.data = static_cast<const char*>(bias.data) + from * bytes_of(bias.type);
  weight.data = static_cast<const char*>(weight.data) + from * weight.columns * bytes_of(weight.type);
  if (weight.scales) weight.scales += from;
  weight.rows = to - from;
  l.weight = weight;
  l.bias = bias;
  l.T = T;
  l.bf16 = engine->bf16;
  return done(args, (backward ? engine->kernels->linear_backward : engine->kernels->linear)(engine->pool, l));
}

// (engine, T, F, y, gateUp): SwiGLU, or GeGLU
template <bool geglu>
napi_value gated(napi_env env, napi_callback_info info) {
  Args args(env, info, geglu ? "run geglu" : "run swiglu");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1);
  float *y = args.array("y_TF", times(T, F)), *gateUp = args.array("gateUp", times(T, 2, F));
  if (!args.ok()) return nullptr;
  return done(args, (geglu ? engine->kernels->geglu : engine->kernels->swiglu)(engine->pool, {y, gateUp, T, F}));
}

// (engine, T, F, dgateUp, dy, gateUp)
template <bool geglu>
napi_value gated_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, geglu ? "run gegluBackward" : "run swigluBackward");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1);
  float *dgateUp = args.array("dgateUp", times(T, 2, F)), *dy = args.array("dy_TF", times(T, F));
  float* gateUp = args.array("gateUp", times(T, 2, F));
  if (!args.ok()) return nullptr;
  const auto run = geglu ? engine->kernels->geglu_backward : engine->kernels->swiglu_backward;
  return done(args, run(engine->pool, {dgateUp, dy, gateUp, T, F}));
}

// (engine, T, F, y, up)
napi_value gelu(napi_env env, napi_callback_info info) {
  Args args(env, info, "run gelu");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1), TF = times(T, F);
  float *y = args.array("y_TF", TF), *up = args.array("up_TF", TF);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->gelu(engine->pool, {y, up, T, F}));
}

// (engine, T, F, dup, dy, up)
napi_value gelu_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run geluBackward");
  Engine* engine = args.engine();
  const long T = args.size("T", 0), F = args.size("F", 1), TF = times(T, F);
  float *dup = args.array("dup_TF", TF), *dy = args.array("dy_TF", TF), *up = args.array("up_TF", TF);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->gelu_backward(engine->pool, {dup, dy, up, T, F}));
}

// (engine, R, rows of each cell, their scales, head, labels, nll, hit, y, dy?)
napi_value head_loss(napi_env env, napi_callback_info info) {
  Args args(env, info, "run headLoss");
  Engine* engine = args.engine();
  long R = args.size("R", 0), count = -1, known = 0;
  const int32_t* cells = args.ints("cells", &count);
  const float* scales = args.floats("scales", &count);
  for (long c = 0; args.ok() && c < count; c++) {
    if (cells[c] < 0 || cells[c] > R - known) args.fail(Wrong::RANGE, "its cells have more rows than the %ld there are", R);
    else known += cells[c];
  }
  if (args.ok() && known != R) args.fail(Wrong::RANGE, "its cells have %ld rows, there are %ld", known, R);
  const Weight head = args.weight("head_VD");
  const int32_t* labels = args.ints("labels_R", &R);
  const long RD = times(R, head.columns);
  float *nll = args.array("nll_R", R), *hit = args.array("hit_R", R);
  float *y = args.array("y_RD", RD), *dy = args.array_or_null("dy_RD", RD);
  for (long r = 0; args.ok() && r < R; r++) {
    if (labels[r] < 0 || labels[r] >= head.rows) {
      args.attempt("score label %d", labels[r]);
      args.fail(Wrong::RANGE, "the head has %ld rows", head.rows);
    }
  }
  if (!args.ok()) return nullptr;
  bool worked = true;
  for (long c = 0, at = 0; worked && c < count; at += cells[c++]) {
    float* own_dy = dy ? dy + at * head.columns : nullptr;
    const HeadLoss own = {nll + at, hit + at, own_dy, y + at * head.columns, head, labels + at, cells[c], scales[c], engine->bf16};
    worked = engine->kernels->head_loss(engine->pool, own);
  }
  return done(args, worked);
}

}  // namespace

void add_row_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("embed", embed),
      ZG_FUNCTION("gatherRows", move_rows<false>),
      ZG_FUNCTION("scatterRows", move_rows<true>),
      ZG_FUNCTION("rmsNorm", rms_norm),
      ZG_FUNCTION("rmsNormBackward", rms_norm_backward),
      ZG_FUNCTION("layerNorm", layer_norm),
      ZG_FUNCTION("layerNormBackward", layer_norm_backward),
      ZG_FUNCTION("linear", linear<false>),
      ZG_FUNCTION("linearBackward", linear<true>),
      ZG_FUNCTION("swiglu", gated<false>),
      ZG_FUNCTION("swigluBackward", gated_backward<false>),
      ZG_FUNCTION("geglu", gated<true>),
      ZG_FUNCTION("gegluBackward", gated_backward<true>),
      ZG_FUNCTION("gelu", gelu),
      ZG_FUNCTION("geluBackward", gelu_backward),
      ZG_FUNCTION("headLoss", head_loss),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
