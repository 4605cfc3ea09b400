// What all kernels share. Compiled by NVRTC for a GPU and by a C++ compiler for the emulator (emu/emu.hpp defines EMULATED and
// stands in for everything in the first part). Nothing is included: NVRTC has no CUDA headers on a user's disk.
//
// Shape suffixes: packages/core/src/engine/engine.ts. ACT is the type of inner activations: bf16 (u16 bits) or float.
#pragma once
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

#ifndef EMULATED
#define DEVICE static __device__ __forceinline__
#define DEVICE_METHOD static __device__ __forceinline__
#define KERNEL(name) extern "C" __global__ void name
#define BOUNDED_KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads) name
#define SHARED __shared__
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
DEVICE float from_bits(u32 x) { return __uint_as_float(x); }
DEVICE u32 to_bits(float x) { return __float_as_uint(x); }
/** Two numbers as bf16, ties to even; `low` in the lower half. */
DEVICE u32 pack2(float low, float high) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
DEVICE float exp2_of(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float log2_of(float x) {
  float r;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float tanh_of(float x) { return tanhf(x); }
/** 16 bytes, moved at once; addresses are multiples of 16. */
struct __align__(16) Quad {
  u32 x, y, z, w;
};
DEVICE Quad load_quad(const void* p) { return *(const Quad*)p; }
DEVICE void store_quad(void* p, Quad q) { *(Quad*)p = q; }
/** d += a·b for a 16×16 and a 16×8 tile of bf16, spread over the warp as PTX's mma.m16n8k16 says. */
DEVICE void mma(float* d, const u32* a, u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }
/** Four 8×8 tiles of 16-bit numbers from shared memory; lane l names row l of them. */
DEVICE void load_tiles(u32* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
/** The same, each tile transposed. */
DEVICE void load_tiles_transposed(u32* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
/** 16 bytes to shared memory, there after the wait; zeros if `valid` is false. */
DEVICE void copy_async(void* to, const void* from, bool valid) {
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
#endif

#ifndef ACT
#define ACT u16
#endif
#define LOG2E 1.4426950408889634f
#define NEG_INF from_bits(0xff800000u)

DEVICE float low_half(u32 x) { return from_bits(x << 16); }
DEVICE float high_half(u32 x) { return from_bits(x & 0xffff0000u); }
DEVICE float load(const float* p) { return *p; }
DEVICE float load(const u16* p) { return from_bits((u32)*p << 16); }
/** A number in 8 bits: an integer, or a float E4M3, whose bits are those of a float with another bias (2¹²⁰ more). */
struct Eight {
  unsigned char bits;
};
struct Integer : Eight {};
struct Float : Eight {};
DEVICE float load(const Integer* p) { return (float)(signed char)p->bits; }
DEVICE float load(const Float* p) {
  float magnitude = from_bits((u32)(p->bits & 0x7f) << 20) * 1329227995784915872903807060280344576.f;
  return p->bits & 0x80 ? -magnitude : magnitude;
}
/** A finite float16, whose bits are those of a float with another bias (2¹¹² more). */
struct Half {
  u16 bits;
};
DEVICE float load(const Half* p) {
  float magnitude = from_bits((u32)(p->bits & 0x7fff) << 13) * 5192296858534827628530496329220096.f;
  return p->bits & 0x8000 ? -magnitude : magnitude;
}
DEVICE void store(float* p, float x) { *p = x; }
DEVICE void store(u16* p, float x) { *p = (u16)(pack2(x, 0.f) & 0xffffu); }

/** Numbers that a thread moves at once if rows are whole multiples of it: 128 bits of bf16, twice that of float. */
#define WIDE 8

// How a flat operation's kernel is launched, for src/ops/flat.ts, which finds its arguments by their names: one block for each of
// the `rows`, or one thread for each of the `numbers` of [a, b], or for `several` of them: WIDE if b is a multiple of that.
#define LAUNCH(kernel, each, a, b)
template <int N>
DEVICE void load_some(float* v, const float* p) {
  if (N == 1) v[0] = *p;
  else
    for (int i = 0; i < N; i += 4) {
      Quad q = load_quad(p + i);
      v[i] = from_bits(q.x), v[i + 1] = from_bits(q.y), v[i + 2] = from_bits(q.z), v[i + 3] = from_bits(q.w);
    }
}
template <int N>
DEVICE void load_some(float* v, const u16* p) {
  if (N == 1) v[0] = load(p);
  else
    for (int i = 0; i < N; i += 8) {
      Quad q = load_quad(p + i);
      v[i] = low_half(q.x), v[i + 1] = high_half(q.x), v[i + 2] = low_half(q.y), v[i + 3] = high_half(q.y);
      v[i + 4] = low_half(q.z), v[i + 5] = high_half(q.z), v[i + 6] = low_half(q.w), v[i + 7] = high_half(q.w);
    }
}
template <int N>
DEVICE void store_some(float* p, const float* v) {
  if (N == 1) *p = v[0];
  else
    for (int i = 0; i < N; i += 4) store_quad(p + i, {to_bits(v[i]), to_bits(v[i + 1]), to_bits(v[i + 2]), to_bits(v[i + 3])});
}
template <int N>
DEVICE void store_some(u16* p, const float* v) {
  if (N == 1) store(p, v[0]);
  else
    for (int i = 0; i < N; i += 8)
      store_quad(p + i, {pack2(v[i], v[i + 1]), pack2(v[i + 2], v[i + 3]), pack2(v[i + 4], v[i + 5]), pack2(v[i + 6], v[i + 7])});
}

DEVICE float warp_sum(float v) {
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}
DEVICE float warp_max(float v) {
  for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
  return v;
}
/** Sum over the block in a fixed order, for all of its threads; `shared` has room for 32. */
DEVICE float block_sum(float v, float* shared) {
  int warps = (blockDim.x + 31) >> 5;
  v = warp_sum(v);
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = v;
  __syncthreads();
  float total = 0.f;
  for (int i = 0; i < warps; i++) total += shared[i];
  __syncthreads();
  return total;
}
DEVICE float block_max(float v, float* shared) {
  int warps = (blockDim.x + 31) >> 5;
  v = warp_max(v);
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = v;
  __syncthreads();
  float most = shared[0];
  for (int i = 1; i < warps; i++) most = fmaxf(most, shared[i]);
  __syncthreads();
  return most;
}
/** A score or logit under a soft cap; 0: none. */
DEVICE float capped(float s, float cap) { return cap > 0.f ? cap * tanh_of(s / cap) : s; }
/** The slope of `capped` at s. */
DEVICE float cap_slope(float s, float cap) { return cap > 0.f ? 1.f - s / cap * (s / cap) : 1.f; }
/** The sequence that token t is of. */
DEVICE int sequence_of(const int* cu_seqlens, int S, int t) {
  int low = 0, high = S - 1;
  while (low < high) {
    int middle = (low + high + 1) >> 1;
    if (cu_seqlens[middle] <= t) low = middle;
    else high = middle - 1;
  }
  return low;
}
