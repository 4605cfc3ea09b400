// All operations that are called alike, as JavaScript calls them: (engine, sizes, numbers, weights, rows, outputs, inputs), in the
// order of their fields. Every argument is checked by the binary's own table before anything runs.
#include <string.h>

#include "args.h"

namespace zg {

namespace {

// An argument, checked and put into the struct. Fields are trivial: their bytes are their values.
template <class Value>
void put(char* arguments, const Field& field, const Value& value) {
  memcpy(arguments + field.offset, &value, sizeof value);
}

void read_field(Args& args, const Field& field, SizesByLetter& sizes, char* arguments) {
  const char letter = *field.shape;
  switch (field.kind) {
    case Kind::SIZE: return put(arguments, field, sizes.of(*field.name) = args.size(field.name, field.least));
    case Kind::NUMBER: return put(arguments, field, (float)args.number(field.name));
    case Kind::VECTOR: return put(arguments, field, args.vector(field.name, letter, sizes.of(letter)));
    case Kind::ROWS:
      return put(arguments, field, args.rows(field.name, field.least, sizes.of(field.below), &sizes.of(letter)));
    case Kind::COUNT: return put(arguments, field, sizes.of(*field.name));
    case Kind::OUT:
    case Kind::IN: return put(arguments, field, args.array(field.name, sizes.length(field.shape)));
    case Kind::MAYBE: return put(arguments, field, args.array_or_null(field.name, sizes.length(field.shape)));
  }
}

napi_value run_operation(napi_env env, napi_callback_info info) {
  Args args(env, info, "run ");
  const Operation& operation = *static_cast<const Operation*>(args.data());
  args.of(operation.name);
  Engine* engine = args.engine();
  if (!args.ok()) return nullptr;
  SizesByLetter sizes;
  alignas(8) char arguments[MOST_BYTES];
  for (int i = 0; i < operation.count; i++) read_field(args, operation.fields[i], sizes, arguments);
  if (!args.ok()) return nullptr;
  const long place = &operation - kernels_portable.operations;
  return done(args, engine->kernels->operations[place].run(engine->pool, arguments));
}

// operations(): [name, fields] of each, as this binary has them.
napi_value operations(napi_env env, napi_callback_info) {
  napi_value list, pair, text;
  napi_create_array_with_length(env, kernels_portable.operationCount, &list);
  for (int i = 0; i < kernels_portable.operationCount; i++) {
    const Operation& operation = kernels_portable.operations[i];
    napi_create_array_with_length(env, 2, &pair);
    napi_create_string_utf8(env, operation.name, NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, pair, 0, text);
    napi_create_string_utf8(env, operation.text, NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, pair, 1, text);
    napi_set_element(env, list, i, pair);
  }
  return list;
}

}  // namespace

void add_operations(napi_env env, napi_value exports) {
  const napi_property_descriptor list = ZG_FUNCTION("operations", operations);
  napi_define_properties(env, exports, 1, &list);
  for (int i = 0; i < kernels_portable.operationCount; i++) {
    const Operation& operation = kernels_portable.operations[i];
    napi_property_descriptor function = ZG_FUNCTION(operation.name, run_operation);
    function.data = const_cast<Operation*>(&operation);
    napi_define_properties(env, exports, 1, &function);
  }
}

}  // namespace zg
