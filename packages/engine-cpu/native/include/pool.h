// Threads of one engine and the scratch memory that its kernels work in. Defined outside of the kernels' translation units,
// so nothing here is compiled for an instruction set that the machine may lack.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace zg {

struct Pool;
using Job = void (*)(void* context, long job, int thread);

// `threads` counts the calling thread. Null if memory or threads are lacking.
Pool* pool_open(int threads);
void pool_close(Pool* pool);
int pool_threads(const Pool* pool);
// Once *cancel is not 0, no job is begun any more: what an operation returns then is worth nothing.
void pool_watch(Pool* pool, const int32_t* cancel);
bool pool_cancelled(const Pool* pool);

// Runs jobs 0 … jobs-1, each once, on whichever thread is free, and returns when all are done. Which thread runs a job must
// not change its result: that is why any number of threads gives the same bits.
void pool_run(Pool* pool, long jobs, Job run, void* context);

// Scratch that grows and stays, 64-byte aligned, contents undefined. Only the calling thread asks, before `parallel`. Null
// if memory is lacking.
enum Scratch { LOGITS = 0, PARTIAL = 1, SCRATCH_SLOTS = 2 };
float* scratch(Pool* pool, Scratch slot, size_t floats);
// The same for each thread: reserve first, then `scratch_of` inside a job.
bool reserve_threads(Pool* pool, size_t floats);
float* scratch_of(Pool* pool, int thread);

template <class F>
static inline void parallel(Pool* pool, long jobs, F& run) {
  pool_run(pool, jobs, [](void* context, long job, int thread) { (*static_cast<F*>(context))(job, thread); }, &run);
}

}  // namespace zg
