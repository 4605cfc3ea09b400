// The gated delta rule as JavaScript calls it. Sizes come first, then weights, offsets, outputs, inputs. Every argument is checked
// before anything runs; core's engine.ts says what each does.
#include <vector>

#include "args.h"

namespace zg {

namespace {

struct DeltaArguments {
  DeltaSize size;
  long C, M;
  Weight conv_CL, rate_N, bias_N;
  const int32_t* cuSeqlens;
  long S;
};

// T, J, N, A, B, L, conv, rate, bias, cuSeqlens.
DeltaArguments delta(Args& args) {
  DeltaArguments d = {};
  d.size = {args.size("T", 0),       args.size("keyHeads", 1), args.size("valueHeads", 1),
            args.size("keyDim", 1),  args.size("valueDim", 1), args.size("taps", 1)};
  const auto& [T, J, N, A, B, L] = d.size;
  if (args.ok() && N % J != 0) args.fail(Wrong::RANGE, "%ld value heads do not share %ld key heads evenly", N, J);
  d.M = times(N, B);
  d.C = times(2, J, A) + d.M;
  d.conv_CL = args.weight("conv_CL");
  if (args.ok() && (d.conv_CL.rows != d.C || d.conv_CL.columns != L)) {
    args.fail(Wrong::RANGE, "conv_CL is %ld by %ld, %ld by %ld is needed", d.conv_CL.rows, d.conv_CL.columns, d.C, L);
  }
  d.rate_N = args.vector("rate_N", 'N', N);
  d.bias_N = args.vector("bias_N", 'N', N);
  d.cuSeqlens = offsets(args, T, &d.S);
  return d;
}

// (engine, sizes, weights, cuSeqlens, o, x, gates, starts?, handles of the states)
napi_value gated_delta(napi_env env, napi_callback_info info) {
  Args args(env, info, "run gatedDelta");
  Engine* engine = args.engine();
  const DeltaArguments d = delta(args);
  const auto& [T, J, N, A, B, L] = d.size;
  float *o = args.array("o_TM", times(T, d.M)), *x = args.array("x_TC", times(T, d.C));
  float* gates = args.array("gates_T2N", times(T, 2, N));
  long count = -1;
  const int32_t* starts = args.ints("starts", &count);
  const double* handles = args.doubles("states", &count);
  if (args.ok() && count != 0 && count != d.S) args.fail(Wrong::RANGE, "%ld states are given for %ld sequences", count, d.S);
  std::vector<float*> states;
  for (long s = 0; args.ok() && s < count; s++) {
    if (starts[s] < 0) args.fail(Wrong::RANGE, "a sequence starts at %d, 0 or more is needed", starts[s]);
    states.push_back(args.array_of("a state", handles[s], times(L - 1, d.C) + times(d.M, A)));
  }
  if (!args.ok()) return nullptr;
  const GatedDelta forward = {o, x, gates, d.conv_CL, d.rate_N, d.bias_N, d.cuSeqlens, d.S, d.size, states.empty() ? nullptr : states.data(), starts};
  return done(args, engine->kernels->gated_delta(engine->pool, forward));
}

// (engine, sizes, weights, cuSeqlens, dx, dgates, do, x, gates)
napi_value gated_delta_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run gatedDeltaBackward");
  Engine* engine = args.engine();
  const DeltaArguments d = delta(args);
  const long T = d.size.T, N = d.size.N;
  float *dx = args.array("dx_TC", times(T, d.C)), *dgates = args.array("dgates_T2N", times(T, 2, N));
  float *dO = args.array("do_TM", times(T, d.M)), *x = args.array("x_TC", times(T, d.C));
  float* gates = args.array("gates_T2N", times(T, 2, N));
  if (!args.ok()) return nullptr;
  const GatedDeltaBackward backward = {dx, dgates, dO, x, gates, d.conv_CL, d.rate_N, d.bias_N, d.cuSeqlens, d.S, d.size};
  return done(args, engine->kernels->gated_delta_backward(engine->pool, backward));
}

}  // namespace

void add_delta_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("gatedDelta", gated_delta),
      ZG_FUNCTION("gatedDeltaBackward", gated_delta_backward),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
