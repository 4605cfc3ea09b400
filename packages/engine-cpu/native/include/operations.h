// Operations that are called alike, as data: what one takes is a list of fields beside its kernel, from which come the struct
// that the kernel reads, the checks of its arguments and, as text, the comparison with core's table (operations.ts).
//
//   #define ZG_SWIGLU(_) _(SIZE, T, 0) _(SIZE, F, 1) _(OUT, y_TF, "TF") _(IN, gateUp, "T2F")
//   ZG_ARGUMENTS(Swiglu, ZG_SWIGLU)
//
//   SIZE    a whole number, and the least that it may be        NUMBER  a float32
//   VECTOR  a weight, and the size that it is as long as        COUNT   the length of a list, if no SIZE says it
//   ROWS    row numbers: their shape, the size that they are below, the least
//   OUT, IN arrays, and their lengths; MAYBE is null if nothing is given
//
// A length is a product of sizes and digits: "T2F" is T · 2 · F. The order is that of the kinds.
#pragma once
#include <stddef.h>

#include "kernels.h"

namespace zg {

enum class Kind : int { SIZE, NUMBER, VECTOR, ROWS, COUNT, OUT, IN, MAYBE };

struct Field {
  Kind kind;
  const char* name;
  const char* shape = "";  // of VECTOR, ROWS and arrays
  long least = 0;          // of SIZE and ROWS
  char below = 0;          // of ROWS
  size_t offset = 0;       // in the struct
};

struct Operation {
  const char* name;
  const char* text;  // its fields as they are written: "SIZE, T, 0; SIZE, F, 1; …"
  const Field* fields;
  int count;
  size_t bytes;  // of the struct, at most MOST_BYTES
  bool (*run)(Pool*, const void* arguments);
};
constexpr size_t MOST_BYTES = 256;

// Product of sizes; huge instead of overflowing, so that no array is ever long enough.
constexpr long HUGE_SIZE = sizeof(long) == 8 ? (long)(1ull << 62) : (long)(1ull << 30);
static inline long times(long a, long b) {
  long product;
  return __builtin_mul_overflow(a, b, &product) || product > HUGE_SIZE ? HUGE_SIZE : product;
}

// Sizes of one call by their letters; -1: not known yet.
struct SizesByLetter {
  long values[64];
  SizesByLetter() {
    for (long& value : values) value = -1;
  }
  long& of(char letter) { return values[letter & 63]; }
  long length(const char* shape) {
    long product = 1;
    for (; *shape; shape++) product = times(product, *shape <= '9' ? *shape - '0' : of(*shape));
    return product;
  }
};

#define ZG_MEMBER_SIZE(name, ...) long name;
#define ZG_MEMBER_NUMBER(name) float name;
#define ZG_MEMBER_VECTOR(name, ...) Weight name;
#define ZG_MEMBER_ROWS(name, ...) const int32_t* name;
#define ZG_MEMBER_COUNT(name) long name;
#define ZG_MEMBER_OUT(name, ...) float* name;
#define ZG_MEMBER_IN(name, ...) const float* name;
#define ZG_MEMBER_MAYBE(name, ...) const float* name;
#define ZG_MEMBER(kind, ...) ZG_MEMBER_##kind(__VA_ARGS__)

#define ZG_FIELD_SIZE(name, least) {Kind::SIZE, #name, "", least, 0, offsetof(Self, name)},
#define ZG_FIELD_NUMBER(name) {Kind::NUMBER, #name, "", 0, 0, offsetof(Self, name)},
#define ZG_FIELD_VECTOR(name, shape) {Kind::VECTOR, #name, shape, 0, 0, offsetof(Self, name)},
#define ZG_FIELD_ROWS(name, shape, below, least) {Kind::ROWS, #name, shape, least, below, offsetof(Self, name)},
#define ZG_FIELD_COUNT(name) {Kind::COUNT, #name, "", 0, 0, offsetof(Self, name)},
#define ZG_FIELD_OUT(name, shape) {Kind::OUT, #name, shape, 0, 0, offsetof(Self, name)},
#define ZG_FIELD_IN(name, shape) {Kind::IN, #name, shape, 0, 0, offsetof(Self, name)},
#define ZG_FIELD_MAYBE(name, shape) {Kind::MAYBE, #name, shape, 0, 0, offsetof(Self, name)},
#define ZG_FIELD(kind, ...) ZG_FIELD_##kind(__VA_ARGS__)

#define ZG_FIELD_TEXT(...) #__VA_ARGS__ "; "

#define ZG_ARGUMENTS(Name, FIELDS)                              \
  struct Name {                                                 \
    FIELDS(ZG_MEMBER)                                           \
  };                                                            \
  static_assert(sizeof(Name) <= MOST_BYTES, "the glue has room for so much"); \
  struct Name##Fields {                                         \
    using Self = Name;                                          \
    static constexpr Field list[] = {FIELDS(ZG_FIELD)};         \
    static constexpr int count = sizeof list / sizeof *list;    \
    static constexpr const char* text = FIELDS(ZG_FIELD_TEXT);  \
  };

}  // namespace zg
