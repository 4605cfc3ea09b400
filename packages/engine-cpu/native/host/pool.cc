// Threads that stay: a short spin, then sleep. pthreads rather than <thread>: the binary needs no new libstdc++.
#include "pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <atomic>

#include "blocks.h"

namespace zg {

namespace {
constexpr int SPINS = 4000;  // some microseconds: the next operation usually comes sooner

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

struct Buffer {
  float* data = nullptr;
  size_t floats = 0;

  float* grow(size_t wanted) {
    if (wanted == 0) wanted = 1;
    if (wanted <= floats) return data;
    block_free(data, 4 * floats);
    floats = 0;
    data = static_cast<float*>(block_alloc(4 * wanted));
    if (data) floats = wanted;
    return data;
  }
  ~Buffer() { block_free(data, 4 * floats); }
};
}  // namespace

struct Pool {
  int threads = 1;
  int started = 0;
  pthread_t* ids = nullptr;
  Buffer shared[SCRATCH_SLOTS];
  Buffer* own = nullptr;

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  std::atomic<uint64_t> round{0};  // one more for each pool_run, and to stop
  std::atomic<bool> stop{false};
  std::atomic<int> busy{0};
  std::atomic<long> next{0};
  long jobs = 0;
  Job run = nullptr;
  void* context = nullptr;
  const int32_t* cancel = nullptr;
};

namespace {
struct Start {
  Pool* pool;
  int thread;
};

void work(Pool* pool, int thread) {
  for (long job; (job = pool->next.fetch_add(1)) < pool->jobs && !pool_cancelled(pool);) {
    pool->run(pool->context, job, thread);
  }
}

void* thread_main(void* start) {
  Pool* pool = static_cast<Start*>(start)->pool;
  const int thread = static_cast<Start*>(start)->thread;
  delete static_cast<Start*>(start);
  for (uint64_t seen = 0;;) {
    for (int i = 0; i < SPINS && pool->round.load() == seen; i++) relax();
    if (pool->round.load() == seen) {
      pthread_mutex_lock(&pool->mutex);
      while (pool->round.load() == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
      pthread_mutex_unlock(&pool->mutex);
    }
    seen++;
    if (pool->stop.load()) return nullptr;
    work(pool, thread);
    pool->busy.fetch_sub(1);
  }
}

void next_round(Pool* pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->round.fetch_add(1);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}
}  // namespace

Pool* pool_open(int threads) {
  Pool* pool = new Pool;
  pool->threads = threads;
  pool->own = new Buffer[threads];
  pool->ids = new pthread_t[threads];
  for (int t = 1; t < threads; t++) {
    Start* start = new Start{pool, t};
    if (pthread_create(&pool->ids[t], nullptr, thread_main, start) != 0) {
      delete start;
      pool_close(pool);
      return nullptr;
    }
    pool->started = t;
  }
  return pool;
}

void pool_close(Pool* pool) {
  pool->stop = true;
  next_round(pool);
  for (int t = 1; t <= pool->started; t++) pthread_join(pool->ids[t], nullptr);
  delete[] pool->ids;
  delete[] pool->own;
  delete pool;
}

int pool_threads(const Pool* pool) { return pool->threads; }

void pool_watch(Pool* pool, const int32_t* cancel) { pool->cancel = cancel; }

bool pool_cancelled(const Pool* pool) { return pool->cancel && __atomic_load_n(pool->cancel, __ATOMIC_RELAXED) != 0; }

void pool_run(Pool* pool, long jobs, Job run, void* context) {
  if (pool->threads == 1 || jobs <= 1) {
    for (long job = 0; job < jobs && !pool_cancelled(pool); job++) run(context, job, 0);
    return;
  }
  pool->run = run;
  pool->context = context;
  pool->jobs = jobs;
  pool->next = 0;
  pool->busy = pool->threads - 1;
  next_round(pool);
  work(pool, 0);
  // The others are finishing their last job. Yield where they have to share the cores.
  for (int i = 0; pool->busy.load() != 0; i++) {
    if (i < SPINS) relax();
    else sched_yield();
  }
}

float* scratch(Pool* pool, Scratch slot, size_t floats) { return pool->shared[slot].grow(floats); }

bool reserve_threads(Pool* pool, size_t floats) {
  for (int t = 0; t < pool->threads; t++) {
    if (!pool->own[t].grow(floats)) return false;
  }
  return true;
}

float* scratch_of(Pool* pool, int thread) { return pool->own[thread].data; }

}  // namespace zg
