// The pool of the kernels with one thread, the caller's, and one instance: a module serves one engine.
#include "pool.h"

#include "heap.h"

namespace zg {

namespace {
struct Buffer {
  float* data = nullptr;
  size_t floats = 0;
};
Buffer shared[SCRATCH_SLOTS], own;

float* grow(Buffer& buffer, size_t wanted) {
  if (wanted == 0) wanted = 1;
  if (wanted <= buffer.floats) return buffer.data;
  release(buffer.data);
  buffer.data = static_cast<float*>(allocate(4 * wanted));
  buffer.floats = buffer.data ? wanted : 0;
  return buffer.data;
}
}  // namespace

int pool_threads(const Pool*) { return 1; }

void pool_run(Pool*, long jobs, Job run, void* context) {
  for (long job = 0; job < jobs; job++) run(context, job, 0);
}

float* scratch(Pool*, Scratch slot, size_t floats) { return grow(shared[slot], floats); }
bool reserve_threads(Pool*, size_t floats) { return grow(own, floats) != nullptr; }
float* scratch_of(Pool*, int) { return own.data; }

}  // namespace zg
