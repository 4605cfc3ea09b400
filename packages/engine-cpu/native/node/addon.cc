// The addon's door: levels of this machine, engines, arrays, gradient sums. State is per engine, and engines belong to the
// environment (main thread or worker) that made them.
#include <string.h>

#include "args.h"

namespace zg {

namespace {

void close_engine(napi_env, void* data, void*) {
  Engine* engine = static_cast<Engine*>(data);
  pool_close(engine->pool);
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
  Engine* engine = new Engine{kernels, pool, bf16, {}};
  napi_value external;
  if (napi_create_external(env, engine, close_engine, nullptr, &external) != napi_ok) {
    close_engine(env, engine, nullptr);
    return nullptr;
  }
  napi_type_tag_object(env, external, &engineTag);
  return external;
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
  if (args.ok()) engine->arrays.end_arena();
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

// addFixedPoint(sum, gradient, limit): numbers not added
napi_value add_fixed(napi_env env, napi_callback_info info) {
  Args args(env, info, "add a gradient");
  long length = -1, words = -1;
  int32_t* sum = const_cast<int32_t*>(args.ints("sum", &words));
  const float* gradient = args.floats("gradient", &length);
  if (words != 2 * length) args.fail(Wrong::RANGE, "sum has %ld words, %ld are needed", words, 2 * length);
  const double limit = args.number("limit");
  if (!(limit > 0 && limit <= 512)) args.fail(Wrong::RANGE, "limit is %g, above 0 and at most 512 is needed", limit);
  if (!args.ok()) return nullptr;
  napi_value bad;
  napi_create_double(env, (double)add_fixed_point(sum, gradient, length, limit), &bad);
  return bad;
}

}  // namespace

}  // namespace zg

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("levels", zg::levels),        ZG_FUNCTION("open", zg::open),
      ZG_FUNCTION("take", zg::take),            ZG_FUNCTION("release", zg::release),
      ZG_FUNCTION("endArena", zg::end_arena),   ZG_FUNCTION("memory", zg::memory),
      ZG_FUNCTION("write", zg::copy<true>),     ZG_FUNCTION("read", zg::copy<false>),
      ZG_FUNCTION("addFixedPoint", zg::add_fixed),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  zg::add_row_functions(env, exports);
  zg::add_attention_functions(env, exports);
  return exports;
}
