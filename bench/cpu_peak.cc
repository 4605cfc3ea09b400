// What the processor's multiply-add units give from registers alone: the rate that kernels are compared with.
//   cpu_peak THREADS SECONDS → two numbers: GFLOP/s of float32 (AVX-512, or AVX2 where that is all), of bf16 (0 without)
// Each thread is timed by its own processor time, so other programs do not count.
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <atomic>
#include <thread>
#include <vector>

static double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Two units and a latency of up to 6 want 12 chains; with 12 the bf16 rate of Zen 5 is a twelfth too low. AVX2 has 16 registers,
// of which two hold the factors: more chains would go through memory, and the rate would be theirs.
#if defined(__AVX512F__)
constexpr int CHAINS = 16;
#else
constexpr int CHAINS = 12;
#endif
constexpr long ROUND = 100000;

#if defined(__AVX512F__)
using Lanes = __m512;
static Lanes splat(float x) { return _mm512_set1_ps(x); }
static Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
#else
using Lanes = __m256;
static Lanes splat(float x) { return _mm256_set1_ps(x); }
static Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
#endif

template <class Step>
static double gigaflops(int threads, double seconds, double flopsPerStep, Step step) {
  std::atomic<int> ready{0};
  std::vector<double> rates(threads);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; t++) {
    all.emplace_back([&, t] {
      Lanes c[CHAINS];
#pragma GCC unroll 16
      for (int i = 0; i < CHAINS; i++) c[i] = splat(1.0f);
      ready++;
      while (ready < threads) {}
      const double begin = now();
      long rounds = 0;
      double taken = 0;
      for (; taken < seconds; taken = now() - begin, rounds++) {
        for (long k = 0; k < ROUND; k++) {
#pragma GCC unroll 16
          for (int i = 0; i < CHAINS; i++) {
            c[i] = step(c[i]);
            asm volatile("" : "+v"(c[i]));
          }
        }
      }
      Lanes all = c[0];
#pragma GCC unroll 16
      for (int i = 1; i < CHAINS; i++) all = all + c[i];
      asm volatile("" : : "v"(all));
      rates[t] = rounds * ROUND * CHAINS * flopsPerStep / taken * 1e-9;
    });
  }
  for (std::thread& thread : all) thread.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 1;
  const double seconds = argc > 2 ? atof(argv[2]) : 0.1;
  const Lanes a = splat(0.999f), b = splat(1e-9f);
  const double f32 = gigaflops(threads, seconds, 2 * sizeof(Lanes) / 4, [&](Lanes c) { return multiply_add(c, a, b); });
  double bf16 = 0;
#if defined(__AVX512BF16__)
  __m512i pairs = _mm512_set1_epi32(0x3c003c00);
  asm volatile("" : "+v"(pairs));
  bf16 = gigaflops(threads, seconds, 64, [&](Lanes c) { return _mm512_dpbf16_ps(c, (__m512bh)pairs, (__m512bh)pairs); });
#endif
  printf("%.1f %.1f\n", f32, bf16);
}
