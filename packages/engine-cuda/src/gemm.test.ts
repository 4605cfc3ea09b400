/** Products when something goes wrong: a context that is lost, algorithms that fail, a capture; and the choice among algorithms. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { createEngine } from "./engine.ts";
import { createProducts } from "./gemm.ts";
import { bestOf } from "./gemm_choice.ts";
import { openGpu } from "./gpu.ts";
import { openCublasLt } from "./native/cublaslt.ts";

const unable = onRealGpu ? " (skipped: only the emulator fails on demand)" : absent;

let folder = "";
beforeEach(() => {
  for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);
  folder = mkdtempSync(join(tmpdir(), "zerogate-products-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("the first proposal is kept unless the median of another is more than 2 % less", () => {
  expect(
    bestOf([
      [1, 1, 9],
      [0.99, 0.99, 0.1],
      [5, 5, 5],
    ]),
  ).toBe(0);
  expect(
    bestOf([
      [1, 1, 0.1],
      [0.97, 9, 0.97],
      [0.9, 0.95, 0.95],
    ]),
  ).toBe(2);
  expect(bestOf([[2, 2, 2]])).toBe(0);
});

describe.skipIf(unable !== "")(`products${unable}`, () => {
  const [T, N, K] = [4, 8, 16];
  /** A product of numbers that the order of adding shows in. */
  function multiply(engine: ReturnType<typeof createEngine>): Promise<Float32Array> {
    const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(7 * i * i) * 3 ** (i % 9));
    const weight = engine.matrix({ dtype: "f32", shape: [N, K], bytes: new Uint8Array(values(N * K).buffer) });
    return engine.arena(() => engine.read(engine.linear(engine.upload(values(T * K)), weight, { T, toRead: true })));
  }

  test("an algorithm that fails is left out of the choice; if all fail the product says so", async () => {
    const tuned = async (bad: string) => {
      vi.stubEnv("ZEROGATE_CUDA_CACHE", join(folder, bad));
      vi.stubEnv("EMU_BAD_ALGORITHMS", bad);
      const engine = createEngine({ compute: "f32", tune: true });
      return multiply(engine).finally(() => engine.close());
    };
    const [second, third] = [await tuned("13"), await tuned("12")];
    expect(second).not.toEqual(third);
    expect([second, third]).toContainEqual(await tuned("1"));
    await expect(tuned("123")).rejects.toThrow("NOT_SUPPORTED");
  });

  test("a GPU with other multiprocessors has choices of its own", async () => {
    vi.stubEnv("ZEROGATE_CUDA_CACHE", folder);
    const choices = () => readdirSync(folder).filter((name) => name.startsWith("products-"));
    for (const [processors, files] of [
      ["132", 1],
      ["132", 1],
      ["66", 2],
    ] as const) {
      vi.stubEnv("EMU_SMS", processors);
      const engine = createEngine({ compute: "f32", tune: true });
      await multiply(engine);
      engine.close();
      expect(choices()).toHaveLength(files);
    }
  });

  test("a product is not prepared while a graph is captured", () => {
    const gpu = openGpu(0);
    const products = createProducts(gpu, openCublasLt(13), (_, call) => call(), {
      choices: undefined,
      workspace: { address: 0n, bytes: 0 },
      isCapturing: () => true,
    });
    const product = { T, N, K, transposed: true, input: "f32", output: "f32" } as const;
    const operands = { y: 0n, x: 0n, weight: 0n, residual: undefined };
    expect(() => products.run(product, operands)).toThrow(
      /^Cannot prepare a product on GPU 0 .*: a graph is being captured, run it once before$/,
    );
    gpu.close();
  });

  // The last one: the context of this process does not come back.
  test("a context that a kernel lost is seen as lost if cuBLASLt is the first to report it", async () => {
    const engine = createEngine({ compute: "f32", tune: false, debug: false });
    const weight = engine.matrix({ dtype: "f32", shape: [N, K], bytes: new Uint8Array(4 * N * K) });
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(T * K));
      const first = engine.linear(x, weight, { T });
      vi.stubEnv("EMU_FAIL", "gelu:719");
      expect(() => engine.gelu(x, { T, F: K })).toThrow("LAUNCH_FAILED");
      // Nothing is allocated in between: the memory of the first result is taken again.
      engine.free(first);
      const lost = { name: "EngineLostError", code: "engine-lost" };
      expect(() => engine.linear(x, weight, { T })).toThrow(expect.objectContaining(lost));
    });
    expect(() => engine.close()).toThrow("LAUNCH_FAILED");
  });
});
