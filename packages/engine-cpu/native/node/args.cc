#include "args.h"

#include <stdarg.h>
#include <stdio.h>

#include "packed.h"

namespace zg {

const napi_type_tag engineTag = {0x7a65726f67617465, 0x656e67696e656370};

namespace {
constexpr double LARGEST_SIZE = 1l << 40;
}  // namespace

Args::Args(napi_env env, napi_callback_info info, const char* attempt) : env_(env), verb_(attempt) {
  napi_get_cb_info(env, info, &given_, values_, nullptr, &data_);
  count_ = given_ < MOST ? given_ : MOST;
}

void Args::attempt(const char* format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(attempt_, sizeof attempt_, format, list);
  va_end(list);
  verb_ = attempt_;
  what_ = "";
}

void Args::fail(Wrong kind, const char* format, ...) {
  if (!ok_) return;
  ok_ = false;
  char text[400];
  const int used = snprintf(text, sizeof text, "Cannot %s%s: ", verb_, what_);
  va_list list;
  va_start(list, format);
  vsnprintf(text + used, sizeof text - used, format, list);
  va_end(list);
  if (kind == Wrong::TYPE) napi_throw_type_error(env_, nullptr, text);
  else if (kind == Wrong::RANGE) napi_throw_range_error(env_, nullptr, text);
  else napi_throw_error(env_, nullptr, text);
}

napi_value Args::next() {
  if (at_ < count_) return values_[at_++];
  napi_value undefined;
  napi_get_undefined(env_, &undefined);
  return undefined;
}

bool Args::is_absent(napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env_, value, &type);
  return type == napi_undefined;
}

void* Args::external(napi_value value, const napi_type_tag& tag) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env_, value, &type);
  bool ours = false;
  void* data = nullptr;
  if (type != napi_external || napi_check_object_type_tag(env_, value, &tag, &ours) != napi_ok || !ours) return nullptr;
  napi_get_value_external(env_, value, &data);
  return data;
}

Engine* Args::engine() {
  engine_ = static_cast<Engine*>(external(next(), engineTag));
  if (!engine_) fail(Wrong::TYPE, "the first argument is not an engine");
  return engine_;
}

double Args::number(const char* name) {
  double number = 0;
  if (napi_get_value_double(env_, next(), &number) != napi_ok) fail(Wrong::TYPE, "%s is not a number", name);
  return number;
}

long Args::size(const char* name, long least) {
  const double value = number(name);
  if (value >= least && value <= LARGEST_SIZE && value == (double)(long)value) return (long)value;
  fail(Wrong::RANGE, "%s is %g, a whole number of %ld or more is needed", name, value, least);
  return least;
}

bool Args::flag() {
  bool flag = false;
  if (napi_get_value_bool(env_, next(), &flag) != napi_ok) fail(Wrong::TYPE, "a flag is not a boolean");
  return flag;
}

float* Args::array(const char* name, long length) {
  double handle = -1;
  napi_get_value_double(env_, next(), &handle);
  return array_of(name, handle, length);
}

float* Args::array_of(const char* name, double handle, long length) {
  static float nothing;
  if (!(handle >= 0 && handle < 0x1p53)) fail(Wrong::TYPE, "%s is not an array of this engine", name);
  size_t found = 0;
  float* data = ok_ ? engine_->arrays.data((uint64_t)handle, &found) : nullptr;
  if (!data) fail(Wrong::RANGE, "%s is free already", name);
  else if ((long)found != length) fail(Wrong::RANGE, "%s has %zu numbers, %ld are needed", name, found, length);
  return ok_ ? data : &nothing;
}

float* Args::array_or_null(const char* name, long length) {
  if (at_ < count_ && !is_absent(values_[at_])) return array(name, length);
  at_++;
  return nullptr;
}

void* Args::typed(const char* name, napi_typedarray_type wanted, const char* typeName, long* length) {
  const napi_value value = next();
  bool isTyped = false;
  napi_typedarray_type type;
  size_t found = 0;
  void* data = nullptr;
  napi_is_typedarray(env_, value, &isTyped);
  if (!isTyped || napi_get_typedarray_info(env_, value, &type, &found, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    fail(Wrong::TYPE, "%s is not a %s", name, typeName);
    *length = 0;
    return nullptr;
  }
  if (*length >= 0 && (long)found != *length) {
    fail(Wrong::RANGE, "%s has %zu numbers, %ld are needed", name, found, *length);
  }
  *length = (long)found;
  return data;
}

const int32_t* Args::ints(const char* name, long* length) {
  return static_cast<int32_t*>(typed(name, napi_int32_array, "Int32Array", length));
}

float* Args::floats(const char* name, long* length) {
  return static_cast<float*>(typed(name, napi_float32_array, "Float32Array", length));
}

const double* Args::doubles(const char* name, long* length) {
  return static_cast<double*>(typed(name, napi_float64_array, "Float64Array", length));
}

Weight Args::weight(const char* name, bool optional) {
  Weight weight = {nullptr, Type::F32, 1, 1};
  if (optional && (at_ >= count_ || is_absent(values_[at_]))) {
    at_ += 4;
    return weight;
  }
  return weight_of_types(name, Type::F16);
}

Weight Args::vector(const char* name, char letter, long length) {
  const Weight weight = this->weight(name);
  const long numbers = times(weight.rows, weight.columns);
  if (numbers != length) fail(Wrong::RANGE, "%s has %ld numbers, %c is %ld", name, numbers, letter, length);
  return weight;
}

const int32_t* Args::rows(const char* name, long least, long limit, long* length) {
  const int32_t* rows = ints(name, length);
  for (long i = 0; ok_ && i < *length; i++) {
    if (rows[i] < least || rows[i] >= limit) fail(Wrong::RANGE, "row %d is named, there are %ld", rows[i], limit);
  }
  return rows;
}

Weight Args::linear_map(const char* name) { return weight_of_types(name, Type::I4); }

Packed* Args::packed(const Weight& weight, bool backward) {
  const napi_value value = next();
  if (!ok_ || is_absent(value)) return nullptr;
  const Packs* packs = static_cast<Packs*>(external(value, packsTag));
  Packed* packed = packs ? packs->directions[backward] : nullptr;
  if (!packed) fail(Wrong::TYPE, "packed is not what pack returns");
  else if (!packed_fits(packed, {engine_->kernels, engine_->bf16, backward, weight})) {
    fail(Wrong::RANGE, "packed is of another weight or engine");
  }
  return packed;
}

Weight Args::weight_of_types(const char* name, Type last) {
  Weight weight = {nullptr, Type::F32, 1, 1};
  long bytes = -1;
  weight.data = typed(name, napi_uint8_array, "Uint8Array", &bytes);
  const long type = size("dtype", 0);
  weight.type = type <= static_cast<long>(last) ? static_cast<Type>(type) : Type::F32;
  weight.rows = size("rows", 1);
  weight.columns = size("columns", 1);
  if (!ok_) return weight;
  const long scales = weight.type == Type::I8 ? 4 * weight.rows : 0;
  const long needed = times(weight.rows, row_bytes(weight.type, weight.columns)) + scales;
  if (type > static_cast<long>(last)) fail(Wrong::RANGE, "%s has a dtype that this operation does not take", name);
  if (bytes != needed) fail(Wrong::RANGE, "%s has %ld bytes, %ld are needed", name, bytes, needed);
  const long alignment = weight.type == Type::I8 ? 4 : is_blocks(weight.type) ? 1 : bytes_of(weight.type);
  if (reinterpret_cast<uintptr_t>(weight.data) % alignment != 0) {
    fail(Wrong::RANGE, "%s does not start at a multiple of %ld bytes", name, alignment);
  }
  if (weight.type == Type::I8) {
    weight.scales = static_cast<const float*>(weight.data);
    weight.data = weight.scales + weight.rows;
  }
  return weight;
}

const int32_t* offsets(Args& args, long T, long* S) {
  long length = -1;
  const int32_t* cu = args.ints("cuSeqlens", &length);
  *S = length - 1;
  bool good = args.ok() && length >= 1 && cu[0] == 0 && cu[length - 1] == T;
  for (long s = 0; good && s + 1 < length; s++) good = cu[s] <= cu[s + 1];
  if (!good) args.fail(Wrong::RANGE, "cuSeqlens must ascend from 0 to T=%ld", T);
  return cu;
}

napi_value done(Args& args, bool worked) {
  if (pool_cancelled(args.engine_->pool)) args.fail(Wrong::OTHER, "the work was cancelled");
  else if (!worked) args.fail(Wrong::RANGE, "scratch memory is more than the system gives");
  return nullptr;
}

}  // namespace zg
