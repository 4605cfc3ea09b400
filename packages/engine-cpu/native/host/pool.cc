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
  // The round, one more for each pool_run, above the first job of it that nobody has taken. A thread that comes late, because
  // it slept or has to share its core, finds the jobs gone: nobody waits for a thread, only for jobs.
  std::atomic<uint64_t> ticket{0};
  std::atomic<bool> stop{false};
  std::atomic<long> finished{0};
  // Written while there is no job to take: who takes one with the ticket that it read before has read what belongs to it.
  std::atomic<long> jobs{0};
  std::atomic<Job> run{nullptr};
  std::atomic<void*> context{nullptr};
  const int32_t* cancel = nullptr;
};

namespace {
struct Start {
  Pool* pool;
  int thread;
};

constexpr int JOB_BITS = 32;
constexpr uint64_t NO_JOB = UINT32_MAX;
uint64_t round_of(uint64_t ticket) { return ticket >> JOB_BITS; }
long job_of(uint64_t ticket) { return (long)(uint32_t)ticket; }

void work(Pool* pool, int thread) {
  uint64_t ticket = pool->ticket.load();
  while (!pool_cancelled(pool)) {
    const long job = job_of(ticket);
    const Job run = pool->run.load();
    void* const context = pool->context.load();
    if (job >= pool->jobs.load()) return;
    if (!pool->ticket.compare_exchange_weak(ticket, ticket + 1)) continue;
    run(context, job, thread);
    pool->finished.fetch_add(1);
    ticket = pool->ticket.load();
  }
}

void* thread_main(void* start) {
  Pool* pool = static_cast<Start*>(start)->pool;
  const int thread = static_cast<Start*>(start)->thread;
  delete static_cast<Start*>(start);
  for (uint64_t seen = 0;;) {
    const auto isSeen = [&] { return round_of(pool->ticket.load()) == seen; };
    for (int i = 0; i < SPINS && isSeen(); i++) relax();
    if (isSeen()) {
      pthread_mutex_lock(&pool->mutex);
      while (isSeen()) pthread_cond_wait(&pool->wake, &pool->mutex);
      pthread_mutex_unlock(&pool->mutex);
    }
    seen = round_of(pool->ticket.load());
    if (pool->stop.load()) return nullptr;
    work(pool, thread);
  }
}

void next_round(Pool* pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->ticket = (round_of(pool->ticket.load()) + 1) << JOB_BITS;
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
  if (pool->threads == 1 || jobs <= 1 || jobs >= (long)NO_JOB) {
    for (long job = 0; job < jobs && !pool_cancelled(pool); job++) run(context, job, 0);
    return;
  }
  pool->run = run;
  pool->context = context;
  pool->jobs = jobs;
  pool->finished = 0;
  next_round(pool);
  work(pool, 0);
  // Nothing is taken any more, also of what was cancelled. The others are finishing their last job. Yield if they have to
  // share the cores.
  const long taken = job_of(pool->ticket.fetch_or(NO_JOB));
  for (int i = 0; pool->finished.load() != taken; i++) {
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
