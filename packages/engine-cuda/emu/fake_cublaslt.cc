// A fake cuBLASLt: plain products of float and bf16 matrices, column-major, with the checks that the real one makes. Its three
// "algorithms" add in different orders, so that a wrong choice shows in the bits.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "checks.hpp"
#include "fake.h"

using fake::u64;

namespace {
enum { F32 = 0, BF16 = 14, COMPUTE_F32 = 68, INVALID = 7, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
struct Description {
  int compute, scale, transposed[2];
};
struct Layout {
  int type;
  u64 rows, columns;
  int64_t pitch;
};
struct Preference {
  u64 workspace;
  unsigned alignment[4];
};
struct Heuristic {
  u64 algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96, "as in cublasLt.h");

float number(const void* p, size_t i, int type) {
  if (type == F32) return ((const float*)p)[i];
  uint32_t bits = (uint32_t)((const uint16_t*)p)[i] << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
void put(void* p, size_t i, int type, float value) {
  if (type == F32) {
    ((float*)p)[i] = value;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &value, 4);
  ((uint16_t*)p)[i] = (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 64 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
size_t bytes_of(const Layout& layout) { return ((layout.columns - 1) * layout.pitch + layout.rows) * (layout.type == F32 ? 4 : 2); }

/** Its columns, or rows where `by_row`, one behind the other as floats. */
std::vector<float> lines(const void* p, const Layout& layout, bool by_row) {
  u64 outer = by_row ? layout.rows : layout.columns, inner = by_row ? layout.columns : layout.rows;
  std::vector<float> out(outer * inner);
  for (u64 o = 0; o < outer; o++)
    for (u64 i = 0; i < inner; i++)
      out[o * inner + i] = number(p, by_row ? i * layout.pitch + o : o * layout.pitch + i, layout.type);
  return out;
}
float dot(const float* a, const float* b, u64 k, u64 lanes) {
  float part[8] = {};
  for (u64 i = 0; i < k; i++) part[i % lanes] += a[i] * b[i];
  float sum = 0;
  for (u64 i = 0; i < lanes; i++) sum += part[i];
  return sum;
}
bool fits(const Description& description, const Layout& a, const Layout& b, const Layout& d) {
  u64 m = description.transposed[0] ? a.columns : a.rows, k = description.transposed[0] ? a.rows : a.columns;
  u64 k_of_b = description.transposed[1] ? b.columns : b.rows, n = description.transposed[1] ? b.rows : b.columns;
  for (auto* layout : {&a, &b, &d})
    if (layout->pitch < (int64_t)layout->rows) return false;
  return m == d.rows && n == d.columns && k == k_of_b && a.type == b.type && (d.type == F32 || d.type == a.type);
}
}  // namespace

extern "C" {
size_t cublasLtGetVersion() { return 130101; }
const char* cublasLtGetStatusString(int status) { return status == INVALID ? "CUBLAS_STATUS_INVALID_VALUE" : status == INTERNAL_ERROR ? "CUBLAS_STATUS_INTERNAL_ERROR" : status == NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS"; }
int cublasLtCreate(u64* handle) { return *handle = 1, 0; }
int cublasLtMatmulDescCreate(Description** out, int compute, int scale) { return *out = new Description{compute, scale, {0, 0}}, compute == COMPUTE_F32 && scale == F32 ? 0 : NOT_SUPPORTED; }
int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const int* value, size_t bytes) {
  if (bytes != 4 || (attribute != 3 && attribute != 4)) return INVALID;
  return description->transposed[attribute - 3] = *value, 0;
}
int cublasLtMatmulDescDestroy(Description* description) { return delete description, 0; }
int cublasLtMatrixLayoutCreate(Layout** out, int type, u64 rows, u64 columns, int64_t pitch) { return *out = new Layout{type, rows, columns, pitch}, 0; }
int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, 0; }
int cublasLtMatmulPreferenceCreate(Preference** out) { return *out = new Preference{0, {256, 256, 256, 256}}, 0; }
int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
  if (attribute == 1 && bytes == 8) return memcpy(&preference->workspace, value, 8), 0;
  if (attribute >= 5 && attribute <= 8 && bytes == 4) return memcpy(&preference->alignment[attribute - 5], value, 4), 0;
  return INVALID;
}
int cublasLtMatmulPreferenceDestroy(Preference* preference) { return delete preference, 0; }
int cublasLtMatmulAlgoGetHeuristic(u64, Description* description, Layout* a, Layout* b, Layout*, Layout* d, Preference*, int wanted, Heuristic* out, int* found) {
  if (fake::is_capturing() || fake::is_poisoned()) return INTERNAL_ERROR;  // as of CUDA 13.3 in a capture
  if (!fits(*description, *a, *b, *d)) return INVALID;
  *found = wanted < 3 ? wanted : 3;
  for (int i = 0; i < *found; i++) out[i] = {{(u64)i + 1, 0x5a}, (size_t)i * 4096, 0, 1.f, {}};
  return 0;
}
int cublasLtMatmulAlgoCheck(u64, Description* description, Layout* a, Layout* b, Layout*, Layout* d, const u64* algorithm, Heuristic* out) {
  if (!fits(*description, *a, *b, *d) || algorithm[1] != 0x5a) return NOT_SUPPORTED;
  *out = {{algorithm[0], algorithm[1]}, (size_t)(algorithm[0] - 1) * 4096, 0, 1.f, {}};
  return 0;
}
int cublasLtMatmul(u64, Description* description, const float* alpha, u64 A, Layout* la, u64 B, Layout* lb, const float* beta, u64 C,
                   Layout*, u64 D, Layout* ld, const u64* algorithm, u64 workspace, size_t workspace_bytes, u64) {
  if (fake::is_poisoned()) return INTERNAL_ERROR;
  // EMU_BAD_ALGORITHMS="13": those are proposed, but fail.
  const char* bad = getenv("EMU_BAD_ALGORITHMS");
  if (bad && strchr(bad, '0' + (int)algorithm[0])) return NOT_SUPPORTED;
  Layout a = *la, b = *lb, d = *ld;
  if (!fits(*description, a, b, d) || algorithm[1] != 0x5a || algorithm[0] < 1 || algorithm[0] > 3) return INVALID;
  if (workspace_bytes < (algorithm[0] - 1) * 4096 || !fake::is_device_memory(workspace, workspace_bytes)) return INVALID;
  if (!fake::is_device_memory(A, bytes_of(a)) || !fake::is_device_memory(B, bytes_of(b)) || !fake::is_device_memory(C, bytes_of(d)) || !fake::is_device_memory(D, bytes_of(d))) return INVALID;
  u64 lanes = 1ull << algorithm[0];
  float scale = *alpha, keep = *beta;
  bool ta = description->transposed[0], tb = description->transposed[1];
  fake::enqueue([=] {
    bool is_written = fake::is_written(A, bytes_of(a)) && fake::is_written(B, bytes_of(b)) && (keep == 0 || fake::is_written(C, bytes_of(d)));
    if (emu::is_checking() && !is_written) emu::add_finding("product of global memory that nothing wrote");
    fake::set_written(D, bytes_of(d), true);
    auto rows = lines((void*)A, a, !ta), columns = lines((void*)B, b, tb);
    u64 k = ta ? a.rows : a.columns;
    for (u64 n = 0; n < d.columns; n++)
      for (u64 m = 0; m < d.rows; m++) {
        size_t at = n * d.pitch + m;
        float sum = scale * dot(&rows[m * k], &columns[n * k], k, lanes);
        put((void*)D, at, d.type, keep == 0 ? sum : sum + keep * number((void*)C, at, d.type));
      }
  });
  return 0;
}
}
