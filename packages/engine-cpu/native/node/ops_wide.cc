// Linear maps of the host in float64 as JavaScript calls them: over its own arrays, not those of the engine.
#include "args.h"

namespace zg {

namespace {

double* doubles_out(Args& args, const char* name, long length) {
  return const_cast<double*>(args.doubles(name, &length));
}

const double* doubles_in(Args& args, const char* name, long length) { return args.doubles(name, &length); }

const float* floats_in(Args& args, const char* name, long length) { return args.floats(name, &length); }

struct Sizes {
  long T, N, K, TN, TK, NK;
};

Sizes read_sizes(Args& args) {
  const long T = args.size("T", 0), N = args.size("N", 0), K = args.size("K", 0);
  return {T, N, K, times(T, N), times(T, K), times(N, K)};
}

// (engine, T, N, K, y, x, weight, bias)
napi_value wide_linear(napi_env env, napi_callback_info info) {
  Args args(env, info, "run wideLinear");
  Engine* engine = args.engine();
  const auto [T, N, K, TN, TK, NK] = read_sizes(args);
  double* y = doubles_out(args, "y_TN", TN);
  const double* x = doubles_in(args, "x_TK", TK);
  const float *w = floats_in(args, "weight", NK), *b = floats_in(args, "bias", N);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->wide_linear(engine->pool, {y, x, w, b, T, N, K}));
}

// (engine, T, N, K, dx, dweight, dbias, dy, x, weight)
napi_value wide_linear_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run wideLinearBackward");
  Engine* engine = args.engine();
  const auto [T, N, K, TN, TK, NK] = read_sizes(args);
  double *dx = doubles_out(args, "dx_TK", TK), *dw = doubles_out(args, "dweight", NK), *db = doubles_out(args, "dbias", N);
  const double *dy = doubles_in(args, "dy_TN", TN), *x = doubles_in(args, "x_TK", TK);
  const float* w = floats_in(args, "weight", NK);
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->wide_linear_backward(engine->pool, {dx, dw, db, dy, x, w, T, N, K}));
}

}  // namespace

void add_wide_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("wideLinear", wide_linear),
      ZG_FUNCTION("wideLinearBackward", wide_linear_backward),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
