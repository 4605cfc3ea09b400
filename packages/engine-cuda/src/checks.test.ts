/** EMU_CHECK finds planted faults of every kind that it is for, each in a kernel whose results need not show it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { compilerOf } from "./compiler.ts";
import { type Gpu, openGpu } from "./gpu.ts";
import { createKernels, type Kernels } from "./kernels.ts";
import { openNvrtc } from "./native/nvrtc.ts";

for (const [name, value] of Object.entries(fakeEnv(true))) vi.stubEnv(name, value);

// Blocks have 64 threads; x has 64 numbers and y 64, of which nothing is written before.
const planted = `#include "common.cuh"
KERNEL(right)(float* y, const float* x) {
  SHARED float s[64];
  DYNAMIC_SHARED(tile);
  int i = threadIdx.x;
  if (i < 16) copy_async(tile + 16 * i, x + 4 * i, true);
  copy_commit();
  s[i] = x[i];
  __syncwarp();
  float v = s[i ^ 1];
  copy_wait<0>();
  __syncthreads();
  s[i] = ((float*)tile)[63 - i] + v;
  __syncthreads();
  y[i] = s[63 - i];
}
KERNEL(no_barrier)(float* y, const float* x) {
  SHARED float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
  s[threadIdx.x] = 1.f;
}
KERNEL(no_warp_barrier)(float* y, const float* x) {
  SHARED float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __shfl_sync(0xffffffffu, 1.f, 0);  // orders no memory
  y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL(two_writers)(float* y, const float* x) { y[0] = x[0]; }
KERNEL(early)(float* y, const float* x) {
  DYNAMIC_SHARED(tile);
  if (threadIdx.x == 0) {
    copy_async(tile, x, true);
    copy_commit();
    copy_wait<1>();
    y[0] = *(float*)tile;
  }
}
KERNEL(unwritten_shared)(float* y, const float* x) {
  SHARED float s[64];
  if (threadIdx.x > 0) s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  float v = s[threadIdx.x];
  y[threadIdx.x] = threadIdx.x > 0 ? v : 0.f;
}
KERNEL(unwritten_dynamic)(float* y, const float* x) {
  DYNAMIC_SHARED(tile);
  y[threadIdx.x] = 0.f * ((float*)tile)[threadIdx.x];
}
KERNEL(unwritten_global)(float* y, const float* x) { y[threadIdx.x] = y[threadIdx.x] + x[threadIdx.x]; }
KERNEL(read_beyond)(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x + 1]; }
KERNEL(write_beyond)(float* y, const float* x) { y[threadIdx.x + 1] = x[threadIdx.x]; }
KERNEL(read_before)(float* y, const float* x) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }
KERNEL(beyond_shared)(float* y, const float* x) {
  DYNAMIC_SHARED(tile);
  ((float*)tile)[threadIdx.x + 1] = x[threadIdx.x];
}
KERNEL(misaligned)(float* y, const float* x) {
  if (threadIdx.x < 63) y[threadIdx.x] = *(const float*)((const char*)x + 4 * threadIdx.x + 2);
}
KERNEL(blocks_write)(float* y, const float* x) { y[threadIdx.x] = x[blockIdx.x]; }
KERNEL(block_reads)(float* y, const float* x) {
  int i = threadIdx.x;
  if (blockIdx.x == 0 && i < 32) y[i] = x[i];
  if (blockIdx.x == 1 && i < 32) y[32 + i] = y[i];
}
KERNEL(overwrites_read)(float* y, float* x) {
  int i = threadIdx.x;
  if (i >= 32) return;
  y[32 * blockIdx.x + i] = x[i];
  if (blockIdx.x == 1) x[i] = 2.f;
}
`;

const kinds: readonly (readonly [kernel: string, blocks: number, finding: RegExp])[] = [
  ["no_barrier", 1, /race: (read|write) not ordered after a (read|write)/],
  ["no_warp_barrier", 1, /race: (read|write) not ordered after a (read|write)|shared memory that nothing wrote/],
  ["two_writers", 1, /race: write not ordered after a write/],
  ["early", 1, /access to the target of a copy before its wait/],
  ["unwritten_shared", 1, /read of shared memory that nothing wrote/],
  ["unwritten_dynamic", 1, /read of shared memory that nothing wrote/],
  ["unwritten_global", 1, /read of global memory that nothing wrote/],
  ["read_beyond", 1, /read out of bounds of global memory/],
  ["read_before", 1, /read out of bounds of global memory/],
  ["write_beyond", 1, /write out of bounds of global memory/],
  ["beyond_shared", 1, /write out of bounds of shared memory/],
  ["misaligned", 1, /misaligned access to global memory/],
  ["blocks_write", 2, /race: write of what another block writes/],
  ["block_reads", 2, /race: read of what another block writes/],
  ["overwrites_read", 2, /race: write of what another block reads/],
];

const unable = onRealGpu ? " (skipped: only the emulator checks)" : absent;

describe.skipIf(unable !== "")(`EMU_CHECK${unable}`, () => {
  let folder = "";
  let gpu: Gpu;
  let kernels: Kernels;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "zerogate-checks-"));
    for (const name of ["common.cuh", "flash.cuh"]) {
      writeFileSync(join(folder, name), readFileSync(fileURLToPath(new URL(`../kernels/${name}`, import.meta.url))));
    }
    writeFileSync(join(folder, "rope.cu"), planted);
    vi.stubEnv("ZEROGATE_CUDA_KERNELS", folder);
    gpu = openGpu(0);
    kernels = createKernels(gpu, compilerOf(openNvrtc(13)), (_, call) => call(), { defines: [], debug: true });
  });
  afterAll(() => {
    gpu.close();
    rmSync(folder, { recursive: true });
  });

  /** Runs one of the above over arrays of their own. */
  function run(kernel: string, blocks: number): void {
    const [x, y] = [new BigUint64Array(8), new BigUint64Array(8)];
    for (const out of [x, y]) gpu.call("take memory", "cuMemAlloc_v2", out, 256n);
    gpu.call("copy", "cuMemcpyHtoDAsync_v2", x[0] ?? 0n, new Uint8Array(256).fill(1), 256n, gpu.stream);
    try {
      kernels.run("rope", kernel, { grid: [blocks], block: 64, shared: 256 }, [y[0], x[0]]);
    } finally {
      for (const out of [x, y]) gpu.call("free memory", "cuMemFree_v2", out[0] ?? 0n);
    }
  }

  test("nothing is reported of a kernel that is right, before and after others", () => {
    run("right", 1);
    expect(() => run("two_writers", 1)).toThrow("run two_writers");
    run("right", 1);
  });

  test.each(kinds)("finds the fault of %s", (kernel, blocks, finding) => {
    expect(() => run(kernel, blocks)).toThrow(finding);
  });

  test("numbers that a copy to the host or a product takes have been written", () => {
    const own = new BigUint64Array(8);
    gpu.call("take memory", "cuMemAlloc_v2", own, 64n);
    gpu.call("clear", "cuMemsetD8Async", own[0] ?? 0n, 0, 32n, gpu.stream);
    const copy = (bytes: number) => {
      gpu.call("copy", "cuMemcpyDtoHAsync_v2", new Uint8Array(bytes), own[0] ?? 0n, BigInt(bytes), gpu.stream);
      gpu.synchronize("copy");
    };
    copy(32);
    expect(() => copy(33)).toThrow("copy of global memory that nothing wrote");
    gpu.call("free memory", "cuMemFree_v2", own[0] ?? 0n);
  });
});
