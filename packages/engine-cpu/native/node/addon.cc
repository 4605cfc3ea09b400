// The addon's door: levels of this machine, engines, arrays, gradient sums. State is per engine, and engines belong to the
// environment (main thread or worker) that made them.
#include <string.h>

#include "args.h"
#include "mapped_files.h"
#include "steady_memory.h"

namespace zg {

namespace {

void close_engine(napi_env env, void* data, void*) {
  Engine* engine = static_cast<Engine*>(data);
  pool_close(engine->pool);
  if (engine->cancel) napi_delete_reference(env, engine->cancel);
  delete engine;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

// levels(): [{ name, runs, bf16 }], best first.
napi_value levels(napi_env env, napi_callback_info) {
  int count;
  const Level* all = cpu_levels(&count);
  napi_value list, value;
  napi_create_array_with_length(env, count, &list);
  for (int i = 0; i < count; i++) {
    napi_value level;
    napi_create_object(env, &level);
    napi_create_string_utf8(env, all[i].kernels->name, NAPI_AUTO_LENGTH, &value);
    set(env, level, "name", value);
    napi_get_boolean(env, all[i].runs, &value);
    set(env, level, "runs", value);
    napi_get_boolean(env, all[i].kernels->bf16, &value);
    set(env, level, "bf16", value);
    napi_set_element(env, list, i, level);
  }
  return list;
}

// open(level, threads, bf16): engine
napi_value open(napi_env env, napi_callback_info info) {
  Args args(env, info, "open the engine");
  char name[32] = {};
  napi_get_value_string_utf8(env, args.value(), name, sizeof name, nullptr);
  const long threads = args.size("threads", 1);
  const bool bf16 = args.flag();
  if (threads > 1024) args.fail(Wrong::RANGE, "threads is %ld, at most 1024 are possible", threads);
  int count;
  const Level* all = cpu_levels(&count);
  const Kernels* kernels = nullptr;
  for (int i = 0; i < count; i++) {
    if (all[i].runs && strcmp(all[i].kernels->name, name) == 0) kernels = all[i].kernels;
  }
  if (!kernels) args.fail(Wrong::RANGE, "this machine has no level \"%s\"", name);
  else if (bf16 && !kernels->bf16) args.fail(Wrong::RANGE, "level %s has no bf16 dot product", name);
  if (!args.ok()) return nullptr;
  Pool* pool = pool_open((int)threads);
  if (!pool) {
    args.fail(Wrong::OTHER, "the system gave no %ld threads", threads);
    return nullptr;
  }
  Engine* engine = new Engine{kernels, pool, bf16, {}, nullptr};
  napi_value external;
  if (napi_create_external(env, engine, close_engine, nullptr, &external) != napi_ok) {
    close_engine(env, engine, nullptr);
    return nullptr;
  }
  napi_type_tag_object(env, external, &engineTag);
  return external;
}

// watch(engine, cancel): operations end early, and throw, once cancel[0] is not 0. Shared memory, because it must not move.
napi_value watch(napi_env env, napi_callback_info info) {
  Args args(env, info, "watch a flag");
  Engine* engine = args.engine();
  const napi_value array = args.peek();
  long length = -1;
  const int32_t* cancel = args.ints("cancel", &length);
  if (!args.ok()) return nullptr;
  napi_value buffer;
  bool movable = true;
  napi_get_typedarray_info(env, array, nullptr, nullptr, nullptr, &buffer, nullptr);
  napi_is_arraybuffer(env, buffer, &movable);
  if (movable || length < 1 || engine->cancel) {
    args.fail(Wrong::RANGE, "one Int32Array over a SharedArrayBuffer is needed");
    return nullptr;
  }
  if (napi_create_reference(env, array, 1, &engine->cancel) == napi_ok) pool_watch(engine->pool, cancel);
  return nullptr;
}

// take(engine, length): handle
napi_value take(napi_env env, napi_callback_info info) {
  Args args(env, info, "take an array");
  Engine* engine = args.engine();
  const long length = args.size("length", 0);
  if (!args.ok()) return nullptr;
  const uint64_t handle = engine->arrays.take(length);
  if (handle == 0) {
    args.fail(Wrong::RANGE, "%ld bytes are more memory than the system gives", 4 * length);
    return nullptr;
  }
  napi_value result;
  napi_create_double(env, (double)handle, &result);
  return result;
}

// release(engine, handle)
napi_value release(napi_env env, napi_callback_info info) {
  Args args(env, info, "free an array");
  Engine* engine = args.engine();
  const double handle = args.number("array");
  if (args.ok() && !(handle >= 0 && handle < 0x1p53 && engine->arrays.release((uint64_t)handle))) {
    args.fail(Wrong::RANGE, "it is free already");
  }
  return nullptr;
}

napi_value end_arena(napi_env env, napi_callback_info info) {
  Args args(env, info, "end an arena");
  Engine* engine = args.engine();
  if (!args.ok()) return nullptr;
  engine->arrays.end_arena();
  if (const char* path = changed_file()) {
    args.attempt("use what was computed");
    args.fail(Wrong::OTHER, "the weight file was changed meanwhile, start again from %s", path);
  }
  return nullptr;
}

// memory(engine): [bytes held, at most]
napi_value memory(napi_env env, napi_callback_info info) {
  Args args(env, info, "report memory");
  Engine* engine = args.engine();
  if (!args.ok()) return nullptr;
  napi_value list, value;
  napi_create_array_with_length(env, 2, &list);
  napi_create_double(env, (double)engine->arrays.bytes(), &value);
  napi_set_element(env, list, 0, value);
  napi_create_double(env, (double)engine->arrays.peak(), &value);
  napi_set_element(env, list, 1, value);
  return list;
}

// write(engine, values, handle), read(engine, out, handle)
template <bool isWrite>
napi_value copy(napi_env env, napi_callback_info info) {
  Args args(env, info, isWrite ? "upload" : "read");
  args.engine();
  long length = -1;
  float* host = args.floats(isWrite ? "values" : "out", &length);
  float* array = args.array("array", length);
  if (args.ok() && length > 0) memcpy(isWrite ? array : host, isWrite ? host : array, 4 * length);
  return nullptr;
}

// addFixedPoint(engine, sum, gradient, limit): numbers not added
napi_value add_fixed(napi_env env, napi_callback_info info) {
  Args args(env, info, "add a gradient");
  Engine* engine = args.engine();
  long length = -1, words = -1;
  int32_t* sum = const_cast<int32_t*>(args.ints("sum", &words));
  const float* gradient = args.floats("gradient", &length);
  if (words != 2 * length) args.fail(Wrong::RANGE, "sum has %ld words, %ld are needed", words, 2 * length);
  const double limit = args.number("limit");
  if (!(limit > 0 && limit <= 512)) args.fail(Wrong::RANGE, "limit is %g, above 0 and at most 512 is needed", limit);
  if (!args.ok()) return nullptr;
  napi_value bad;
  napi_create_double(env, (double)engine->kernels->add_fixed_point(sum, gradient, length, limit), &bad);
  return bad;
}

// The arrays that are left: sums of this many words.
Sums read_sources(Args& args, long words, const int32_t** from) {
  long count = 0;
  while (args.ok() && args.has_more()) {
    from[count] = args.ints("a sum", &words);
    count++;
  }
  if (count == 0) args.fail(Wrong::RANGE, "there are none");
  if (args.has_too_many()) args.fail(Wrong::RANGE, "there are more than %ld in one call", count);
  return {from, count, words / 2};
}

// addSums(engine, out, ...sums): `out` may be one of them
napi_value add_all(napi_env env, napi_callback_info info) {
  Args args(env, info, "add sums");
  Engine* engine = args.engine();
  long words = -1;
  int32_t* out = const_cast<int32_t*>(args.ints("out", &words));
  const int32_t* from[Args::MOST];
  const Sums sums = read_sources(args, words, from);
  if (words % 2 != 0) args.fail(Wrong::RANGE, "there are %ld words, an even number is needed", words);
  if (args.ok()) engine->kernels->add_sums(engine->pool, sums, out);
  return nullptr;
}

// readSums(engine, out, ...sums)
napi_value read_all(napi_env env, napi_callback_info info) {
  Args args(env, info, "read sums");
  Engine* engine = args.engine();
  long length = -1;
  float* out = args.floats("out", &length);
  const int32_t* from[Args::MOST];
  const Sums sums = read_sources(args, 2 * length, from);
  if (args.ok()) engine->kernels->read_sums(engine->pool, sums, out);
  return nullptr;
}

// sumSquares(engine, numbers): in their order
napi_value squares(napi_env env, napi_callback_info info) {
  Args args(env, info, "add squares");
  Engine* engine = args.engine();
  long length = -1;
  const float* numbers = args.floats("numbers", &length);
  if (!args.ok()) return nullptr;
  napi_value sum;
  napi_create_double(env, engine->kernels->sum_squares(numbers, length), &sum);
  return sum;
}

// scale(engine, numbers, factor)
napi_value scale(napi_env env, napi_callback_info info) {
  Args args(env, info, "scale numbers");
  Engine* engine = args.engine();
  long length = -1;
  float* numbers = args.floats("numbers", &length);
  const double factor = args.number("factor");
  if (args.ok()) engine->kernels->scale(engine->pool, numbers, length, factor);
  return nullptr;
}

// steadyMemory(): whether the C library can
napi_value steady(napi_env env, napi_callback_info) {
  napi_value result;
  napi_get_boolean(env, steady_memory(), &result);
  return result;
}

// adamW(engine, params, m, v, gradient, from, to, keep, stepSize, rootCorrection, beta1, beta2, eps)
napi_value adamw(napi_env env, napi_callback_info info) {
  Args args(env, info, "take an AdamW step");
  Engine* engine = args.engine();
  long length = -1;
  AdamW a = {};
  a.params = args.floats("params", &length);
  a.m = args.floats("m", &length);
  a.v = args.floats("v", &length);
  a.gradient = args.floats("gradient", &length);
  a.from = args.size("from", 0);
  a.to = args.size("to", 0);
  if (a.from > a.to || a.to > length) {
    args.fail(Wrong::RANGE, "a range is %ld to %ld, there are %ld parameters", a.from, a.to, length);
  }
  a.keep = args.number("keep");
  a.stepSize = args.number("stepSize");
  a.rootCorrection = args.number("rootCorrection");
  a.beta1 = args.number("beta1");
  a.beta2 = args.number("beta2");
  a.eps = args.number("eps");
  if (args.ok()) engine->kernels->adamw(engine->pool, a);
  return nullptr;
}

}  // namespace

}  // namespace zg

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("levels", zg::levels),        ZG_FUNCTION("open", zg::open),
      ZG_FUNCTION("take", zg::take),            ZG_FUNCTION("release", zg::release),
      ZG_FUNCTION("endArena", zg::end_arena),   ZG_FUNCTION("memory", zg::memory),
      ZG_FUNCTION("write", zg::copy<true>),     ZG_FUNCTION("read", zg::copy<false>),
      ZG_FUNCTION("addFixedPoint", zg::add_fixed), ZG_FUNCTION("watch", zg::watch),
      ZG_FUNCTION("adamW", zg::adamw),          ZG_FUNCTION("steadyMemory", zg::steady),
      ZG_FUNCTION("addSums", zg::add_all),      ZG_FUNCTION("readSums", zg::read_all),
      ZG_FUNCTION("sumSquares", zg::squares),   ZG_FUNCTION("scale", zg::scale),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  zg::add_operations(env, exports);
  zg::add_row_functions(env, exports);
  zg::add_attention_functions(env, exports);
  zg::add_delta_functions(env, exports);
  zg::add_file_functions(env, exports);
  zg::add_pack_functions(env, exports);
  zg::add_wide_functions(env, exports);
  return exports;
}
