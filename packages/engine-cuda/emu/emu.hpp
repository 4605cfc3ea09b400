// CPU emulator of our kernels, for tests: what common.cuh leaves out where EMULATED is defined. Every CUDA thread is a fiber,
// blocks run one after another, warps in random order and each as far ahead as it can, so that a missing barrier shows.
// Shared memory starts as NaN, and an asynchronous copy leaves NaN until it is waited for. EMU_CHECK=1: see checks.hpp.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include "checks.hpp"

#define EMULATED 1
#define DEVICE static inline
#define DEVICE_METHOD static inline
#define KERNEL(name) extern "C" void name
#define BOUNDED_KERNEL(name, threads) extern "C" void name
#define SHARED static __attribute__((section("shared_variables")))
#define DYNAMIC_SHARED(name) unsigned char* name = emu::dynamic_shared

namespace emu {
struct Index {
  unsigned x, y, z;
};
struct Copy {
  void* to;
  const void* from;
  bool valid;
  int group;
};
struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  Index thread{};
  int number = 0;
  bool done = false;
  unsigned exchanges = 0;
  /** Barriers of the block, and of the warp, that it has passed. */
  unsigned barriers = 0, warp_syncs = 0;
  std::vector<Copy> copies;
  int group = 0;
};
/** 32 threads, each of which may deposit up to 64 bytes for the others; two sets of slots, used in turn. */
struct Warp {
  unsigned char slots[2][32][64];
  int arrived = 0, live = 0;
  unsigned generation = 0;
};
const size_t STACK_BYTES = 128 << 10;
// One launch at a time in the process (fake_driver.cc holds a lock), so all of this is plain.
extern Fiber* current;
extern Index block, block_size, grid_size;
extern unsigned char* dynamic_shared;
extern Warp* warps;
extern int at_barrier, in_block;
extern unsigned barrier_generation;
extern long progress;
void yield();
/** Begins an asynchronous copy of 16 bytes to shared memory. */
void begin_copy(const Copy& copy);
/** Ends all copies of the current thread but those of its last `pending` groups. */
void end_copies(int pending);

typedef void (*Entry)(void** arguments);
void launch(const char* name, Entry entry, void** arguments, Index grid, Index block, unsigned shared_bytes);

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*(A*)arguments[I]...);
}
template <class... A>
void call(void (*kernel)(A...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>{});
}
template <class... A>
constexpr int count(void (*)(A...)) {
  return sizeof...(A);
}

/** Deposits `bytes` bytes, waits for the warp, returns the slots of all. */
inline unsigned char (*exchange(const void* data, int bytes))[64] {
  Warp& warp = warps[current->number >> 5];
  auto* slots = warp.slots[current->exchanges++ & 1];
  if (bytes) memcpy(slots[current->number & 31], data, bytes);
  unsigned generation = warp.generation;
  if (++warp.arrived == warp.live) {
    warp.arrived = 0;
    warp.generation++;
    progress++;
  } else {
    while (warp.generation == generation) yield();
  }
  return slots;
}
inline float of_lane(float v, int lane) {
  auto* slots = exchange(&v, 4);
  float r;
  memcpy(&r, slots[lane], 4);
  return r;
}
}  // namespace emu

#define threadIdx (emu::current->thread)
#define blockIdx emu::block
#define blockDim emu::block_size
#define gridDim emu::grid_size

static inline void __syncthreads() {
  emu::current->barriers++;
  unsigned generation = emu::barrier_generation;
  if (++emu::at_barrier == emu::in_block) {
    emu::at_barrier = 0;
    emu::barrier_generation++;
    emu::progress++;
  } else {
    while (emu::barrier_generation == generation) emu::yield();
  }
}
// A shuffle or a product exchanges registers; of memory it orders nothing.
static inline void __syncwarp() {
  emu::exchange(nullptr, 0);
  emu::current->warp_syncs++;
}
static inline float __shfl_xor_sync(unsigned, float v, int mask) { return emu::of_lane(v, (emu::current->number & 31) ^ mask); }
static inline float __shfl_sync(unsigned, float v, int lane) { return emu::of_lane(v, lane); }

DEVICE float from_bits(unsigned x) {
  float f;
  memcpy(&f, &x, 4);
  return f;
}
DEVICE unsigned to_bits(float x) {
  unsigned u;
  memcpy(&u, &x, 4);
  return u;
}
struct alignas(16) Quad {
  unsigned x, y, z, w;
};
/** A GPU faults where 16 bytes are moved at once from or to another address. */
DEVICE void check_quad(const void* p) {
  if ((uintptr_t)p & 15) {
    fprintf(stderr, "emulator: misaligned access of 16 bytes\n");
    abort();
  }
}
DEVICE Quad load_quad(const void* p) { return check_quad(p), *(const Quad*)p; }
DEVICE void store_quad(void* p, Quad q) { check_quad(p), *(Quad*)p = q; }
DEVICE unsigned bf16_bits(float f) {
  unsigned x;
  memcpy(&x, &f, 4);
  if ((x & 0x7fffffff) > 0x7f800000) return (x >> 16) | 64;
  return (x + 0x7fff + ((x >> 16) & 1)) >> 16;
}
DEVICE unsigned pack2(float low, float high) { return bf16_bits(low) | bf16_bits(high) << 16; }
DEVICE float exp2_of(float x) { return exp2f(x); }
DEVICE float log2_of(float x) { return log2f(x); }
DEVICE float tanh_of(float x) { return tanhf(x); }

/** Number `half` of the 32-bit register at `p`. */
DEVICE float half_of(const unsigned char* p, int half) {
  unsigned v;
  memcpy(&v, p, 4);
  return from_bits(half ? v & 0xffff0000u : v << 16);
}
// Fragments of mma.m16n8k16 as in the PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
DEVICE void mma(float* d, const unsigned* a, unsigned b0, unsigned b1) {
  unsigned packet[6] = {a[0], a[1], a[2], a[3], b0, b1};
  auto* slots = emu::exchange(packet, 24);
  int lane = emu::current->number & 31;
  for (int e = 0; e < 4; e++) {
    int row = (lane >> 2) + (e >> 1) * 8, column = (lane & 3) * 2 + (e & 1);
    for (int k = 0; k < 16; k++) {
      int of_a = (row & 7) * 4 + ((k & 7) >> 1), register_a = (row >> 3) + 2 * (k >> 3);
      int of_b = column * 4 + ((k & 7) >> 1), register_b = 4 + (k >> 3);
      d[e] += half_of(slots[of_a] + register_a * 4, k & 1) * half_of(slots[of_b] + register_b * 4, k & 1);
    }
  }
}
DEVICE void load_tiles_as(unsigned* r, const void* row, bool transposed) {
  emu::touch(row, 16, false);
  auto* slots = emu::exchange(row, 16);
  int lane = emu::current->number & 31;
  for (int i = 0; i < 4; i++) {
    unsigned short pair[2];
    for (int e = 0; e < 2; e++) {
      int from = transposed ? (lane & 3) * 2 + e : lane >> 2, column = transposed ? lane >> 2 : (lane & 3) * 2 + e;
      memcpy(&pair[e], slots[i * 8 + from] + column * 2, 2);
    }
    r[i] = pair[0] | (unsigned)pair[1] << 16;
  }
}
DEVICE void load_tiles(unsigned* r, const void* row) { load_tiles_as(r, row, false); }
DEVICE void load_tiles_transposed(unsigned* r, const void* row) { load_tiles_as(r, row, true); }

DEVICE void copy_async(void* to, const void* from, bool valid) {
  if (((uintptr_t)to | (uintptr_t)from) & 15) {
    fprintf(stderr, "emulator: misaligned cp.async\n");
    abort();
  }
  emu::begin_copy({to, from, valid, emu::current->group});
}
DEVICE void copy_commit() { emu::current->group++; }
template <int PENDING>
DEVICE void copy_wait() {
  emu::end_copies(PENDING);
}
