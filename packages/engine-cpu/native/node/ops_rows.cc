// Special operations on rows as JavaScript calls them: embedding, linear maps, head and loss. Sizes come first, then outputs, then
// inputs. Every argument is checked before anything runs; core's engine.ts says what each does.
#include "args.h"

namespace zg {

namespace {

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

// (engine, T, from, to, weight, y, x, residual?, bias?, order, packed?): forward over rows from … to of the weight; backward
// without a bias and an order. The packed copy is of the whole weight.
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
  if (!backward) {
    const long order = args.size("order", 0);
    if (order > (long)Order::ALONE) args.fail(Wrong::RANGE, "order is %ld, 0 to %ld are known", order, (long)Order::ALONE);
    l.order = (Order)order;
  }
  l.packed = args.packed(weight, backward);
  if (to - from < weight.rows) l.packed = nullptr;
  if (!args.ok()) return nullptr;
  if (bias.data) bias.data = static_cast<const char*>(bias.data) + from * bytes_of(bias.type);
  weight.data = static_cast<const char*>(weight.data) + from * row_bytes(weight.type, weight.columns);
  if (weight.scales) weight.scales += from;
  weight.rows = to - from;
  l.weight = weight;
  l.bias = bias;
  l.T = T;
  l.bf16 = engine->bf16;
  return done(args, (backward ? engine->kernels->linear_backward : engine->kernels->linear)(engine->pool, l));
}

// (engine, bounds of the groups, weight, y, x): the rows of each group with its part of the weight's rows.
template <bool backward>
napi_value grouped_linear(napi_env env, napi_callback_info info) {
  Args args(env, info, backward ? "run groupedLinearBackward" : "run groupedLinear");
  Engine* engine = args.engine();
  long count = -1;
  const int32_t* bounds = args.ints("bounds", &count);
  const Weight weight = args.linear_map("weight");
  const long groups = count - 1;
  bool good = args.ok() && groups >= 1 && bounds[0] == 0 && weight.rows % groups == 0;
  for (long g = 0; good && g < groups; g++) good = bounds[g] <= bounds[g + 1];
  if (!good) args.fail(Wrong::RANGE, "bounds must ascend from 0 and divide the weight's %ld rows evenly", weight.rows);
  if (!args.ok()) return nullptr;
  const long P = bounds[groups], N = weight.rows / groups, K = weight.columns;
  const long wide = backward ? K : N, narrow = backward ? N : K;
  float* y = args.array(backward ? "dx" : "y", times(P, wide));
  const float* x = args.array(backward ? "dy" : "x", times(P, narrow));
  if (!args.ok()) return nullptr;
  bool worked = true;
  for (long g = 0; worked && g < groups; g++) {
    Linear l = {};
    l.T = bounds[g + 1] - bounds[g];
    if (l.T == 0) continue;
    l.y = y + bounds[g] * wide;
    l.x = x + bounds[g] * narrow;
    l.weight = weight;
    l.weight.data = static_cast<const char*>(weight.data) + g * N * row_bytes(weight.type, K);
    if (weight.scales) l.weight.scales = weight.scales + g * N;
    l.weight.rows = N;
    l.order = Order::PACKED;
    l.bf16 = engine->bf16;
    worked = (backward ? engine->kernels->linear_backward : engine->kernels->linear)(engine->pool, l);
  }
  return done(args, worked);
}

// (engine, R, cap, rows of each cell, their scales, head, labels, nll, hit, y, dy?)
napi_value head_loss(napi_env env, napi_callback_info info) {
  Args args(env, info, "run headLoss");
  Engine* engine = args.engine();
  long R = args.size("R", 0), count = -1, known = 0;
  const float cap = (float)args.number("cap");
  if (!(cap >= 0)) args.fail(Wrong::RANGE, "cap is %g, 0 or more is needed", cap);
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
    const HeadLoss own = {nll + at, hit + at, own_dy, y + at * head.columns, head, labels + at, cells[c], scales[c], cap, engine->bf16};
    worked = engine->kernels->head_loss(engine->pool, own);
  }
  return done(args, worked);
}

}  // namespace

void add_row_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("embed", embed),
      ZG_FUNCTION("linear", linear<false>),
      ZG_FUNCTION("linearBackward", linear<true>),
      ZG_FUNCTION("groupedLinear", grouped_linear<false>),
      ZG_FUNCTION("groupedLinearBackward", grouped_linear<true>),
      ZG_FUNCTION("headLoss", head_loss),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
