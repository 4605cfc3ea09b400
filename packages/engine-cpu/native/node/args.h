// Arguments of one call from JavaScript, checked as they are read. The first thing that is wrong throws; what is read after
// that is harmless, and the operation must look at `ok` before it runs.
#pragma once
#include <node_api.h>
#include <stdint.h>

#include "arrays.h"
#include "kernels.h"
#include "operations.h"

namespace zg {

struct Engine {
  const Kernels* kernels;
  Pool* pool;
  bool bf16;
  Arrays arrays;
  napi_ref cancel = nullptr;  // keeps the flag that the pool watches
};

// Packed copies of one weight, forward and backward.
struct Packs {
  Packed* directions[2];
  napi_ref bytes;  // of the weight
};

enum class Wrong { TYPE, RANGE, OTHER };

template <class... More>
long times(long a, long b, More... more) {
  return times(times(a, b), more...);
}

class Args {
 public:
  // Later arguments are not read.
  static constexpr size_t MOST = 28;

  // `attempt` must outlive the call, as what completes it.
  Args(napi_env env, napi_callback_info info, const char* attempt);

  bool ok() const { return ok_; }
  // What the function was made with.
  void* data() const { return data_; }
  // Completes the attempt.
  void of(const char* what) { what_ = what; }
  // Says more closely what is attempted; for messages that people see.
  void attempt(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // Throws `Cannot <attempt>: <message>`.
  void fail(Wrong kind, const char* format, ...) __attribute__((format(printf, 3, 4)));

  Engine* engine();
  long size(const char* name, long least);
  double number(const char* name);
  bool flag();
  napi_value value() { return next(); }
  bool has_more() const { return at_ < count_; }
  bool has_too_many() const { return given_ > MOST; }
  // What comes next, without taking it.
  napi_value peek() const { return at_ < count_ ? values_[at_] : nullptr; }

  // An engine array of exactly `length` numbers. Never null if ok().
  float* array(const char* name, long length);
  float* array_or_null(const char* name, long length);
  // The same for a handle that came in a Float64Array.
  float* array_of(const char* name, double handle, long length);
  // Typed arrays; `length` < 0 takes any and is set.
  const int32_t* ints(const char* name, long* length);
  float* floats(const char* name, long* length);
  const double* doubles(const char* name, long* length);
  // Bytes, dtype, rows, columns. Null data if the first is undefined and `optional`.
  Weight weight(const char* name, bool optional = false);
  // A weight of exactly `length` numbers, which is the size `letter`.
  Weight vector(const char* name, char letter, long length);
  // Row numbers from `least` on and below `limit`.
  const int32_t* rows(const char* name, long least, long limit, long* length);
  // The same as weight, which may be int8 (the scales of all rows in float32, then the numbers) or blocks of four bits.
  Weight linear_map(const char* name);
  // The copy for that direction of the whole weight. Null if there is none.
  Packed* packed(const Weight& weight, bool backward);

 private:
  friend napi_value done(Args& args, bool worked);
  napi_value next();
  Weight weight_of_types(const char* name, Type last);
  void* typed(const char* name, napi_typedarray_type type, const char* typeName, long* length);
  bool is_absent(napi_value value);
  // Null if the value is not of that kind.
  void* external(napi_value value, const napi_type_tag& tag);

  napi_env env_;
  const char *verb_, *what_ = "";
  void* data_ = nullptr;
  char attempt_[64];
  napi_value values_[MOST];
  size_t given_ = MOST, count_ = 0, at_ = 0;
  bool ok_ = true;
  Engine* engine_ = nullptr;
};

extern const napi_type_tag engineTag, packsTag;

// Offsets 0 … T of S sequences.
const int32_t* offsets(Args& args, long T, long* S);

// The result of an operation: an error if its kernel lacked memory, or was cancelled.
napi_value done(Args& args, bool worked);

#define ZG_FUNCTION(name, function) {name, nullptr, function, nullptr, nullptr, nullptr, napi_enumerable, nullptr}
void add_operations(napi_env env, napi_value exports);
void add_row_functions(napi_env env, napi_value exports);
void add_attention_functions(napi_env env, napi_value exports);
void add_delta_functions(napi_env env, napi_value exports);
void add_file_functions(napi_env env, napi_value exports);
void add_pack_functions(napi_env env, napi_value exports);
void add_wide_functions(napi_env env, napi_value exports);

}  // namespace zg
