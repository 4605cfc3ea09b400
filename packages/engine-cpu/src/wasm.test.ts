/** The WebAssembly engine: core's conformance suite and golden values, its memory's limit, wrong use. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InputError } from "@zerogate/core";
import type { Matrix } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { describeEngine } from "../../core/test/conformance.ts";
import { describeGolden } from "../../core/test/golden.ts";
import { describeImageGolden } from "../../core/test/image_golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeMixed } from "../../core/test/mixed.ts";
import { describePromptSets } from "../../core/test/prompt_sets.ts";
import { describeQueryGolden } from "../../core/test/query_golden.ts";
import { describeScaled } from "../../core/test/scaled.ts";
import { describeSchedules } from "../../core/test/schedules.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { describeTowers } from "../../core/test/tower.ts";
import { describeTuningGolden } from "../../core/test/tuning_golden.ts";
import { describeQueryBits } from "../../core/test/visual_adapter.ts";
import type { CpuEngine } from "./engine.ts";
import { createWasmEngine } from "./wasm_engine.ts";
import { openMemory } from "./wasm_memory.ts";

// Tolerances as for the binary's levels (engine.test.ts).
describeEngine("wasm", () => createWasmEngine(), 2e-6);
describeGolden("wasm", () => createWasmEngine(), 1e-5);
describeImageGolden("wasm", () => createWasmEngine(), 1e-5);
describeQueryGolden("wasm", () => createWasmEngine(), 1e-5);
describeQueryBits("wasm", () => createWasmEngine());
for (const dtype of ["i8", "nf4", "i4"] as const) describeScaled("wasm", dtype, () => createWasmEngine(), 2e-6);
describeMixed("wasm", () => createWasmEngine(), 1e-5, 0);
describeSchedules("wasm", () => createWasmEngine(), { runs: 10 });
describePromptSets("wasm", () => createWasmEngine(), 0);
describeTuningGolden("wasm", () => createWasmEngine(), 1e-5);
describeShared("wasm", () => createWasmEngine(), 1e-5);
describeLabelled("wasm", () => createWasmEngine(), 0);
describeTowers("wasm", () => createWasmEngine());

test("its name, which is stored with a run, says what determines the bits", () => {
  expect(createWasmEngine().name).toBe("wasm/simd128/f32");
  expect(createWasmEngine({ storage: "int8" }).name).toBe("wasm/simd128/f32/int8");
  expect(createWasmEngine({ storage: "nf4" }).name).toBe("wasm/simd128/f32/nf4");
});

const weightOf = (engine: CpuEngine, rows: number, columns: number): Matrix =>
  engine.matrix({ dtype: "f32", shape: [rows, columns], bytes: new Uint8Array(4 * rows * columns) });

describe("the memory of the wasm engine", () => {
  test("what would pass 4 GiB together with what is held is an InputError with the numbers, and the engine works on", async () => {
    const engine = createWasmEngine();
    const cache = engine.kvCache(2 ** 10, 2 ** 10);
    const tooMuch = () => engine.kvCache(2 ** 20, 2 ** 10);
    expect(tooMuch).toThrow(InputError);
    expect(tooMuch).toThrow(
      /^Cannot run this on the wasm engine: 429\d{7} bytes are planned, its memory ends at 4294901760:/,
    );
    expect(() => engine.kvCache(2 ** 30, 2 ** 16)).toThrow(
      /^Cannot run this on the wasm engine: 2814749\d{8} bytes are planned/,
    );
    engine.freeCache(cache);
    const y = await engine.arena(() => engine.read(engine.upload(Float32Array.of(1, 2))));
    expect(y).toEqual(Float32Array.of(1, 2));
  });

  test("scratch of a kernel that would pass it is one as well", async () => {
    const engine = createWasmEngine();
    const T = 384;
    const W = weightOf(engine, 64, 192);
    engine.kvCache(1, (2 ** 32 - 2 ** 16 - 650_000) / 4); // room for input and output, not for packed rows
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(T * 192));
      const tooMuch = () => engine.linear(x, W, { T });
      expect(tooMuch).toThrow(InputError);
      expect(tooMuch).toThrow("Cannot run linear: its scratch would pass the end of the wasm engine's memory");
    });
  });

  test("addresses beyond 2 GiB give the same results", async () => {
    const engine = createWasmEngine();
    const numbers = Float32Array.from({ length: 63 }, (_, i) => Math.sin(i));
    const result = () =>
      engine.arena(() => {
        const bytes = new Uint8Array(numbers.buffer);
        const W = engine.matrix({ dtype: "f32", shape: [7, 9], bytes });
        const x = engine.upload(numbers.subarray(0, 54));
        const y = engine.linear(x, W, { T: 6, rows: [2, 5] });
        return engine.read(engine.linearBackward(y, W, { T: 6, rows: [2, 5] }));
      });
    const before = await result();
    engine.freeCache(engine.kvCache(2 ** 20, 550)); // leaves a hole that the next one fills
    engine.kvCache(2 ** 20, 550);
    expect(await result()).toEqual(before);
  });

  test("blocks do not overlap, and what is released in any order is used again: memory grows no further", () => {
    const memory = openMemory();
    const { kernels } = memory;
    const words = () => new Uint32Array(kernels.memory.buffer);
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % below;
    };
    const problems: string[] = [];
    const live: { address: number; length: number; mark: number }[] = [];
    for (let round = 0; round < 20_000; round++) {
      if (live.length < 40) {
        const length = 1 + random(round % 3 === 0 ? 20_000 : 50);
        const address = memory.allocate(4 * length);
        if (address % 64 !== 0) problems.push(`round ${round}: address ${address}`);
        words().fill(round, address / 4, address / 4 + length);
        live.push({ address, length, mark: round });
      } else {
        const [block] = live.splice(random(live.length), 1);
        const found = words().subarray(block.address / 4, block.address / 4 + block.length);
        if (found.some((word) => word !== block.mark)) problems.push(`round ${round}: overwritten`);
        kernels.release(block.address);
      }
    }
    expect(problems).toEqual([]);
    for (const { address } of live) kernels.release(address);
    const size = kernels.memory.buffer.byteLength;
    expect(size, "at most 40 blocks of 80 kB at a time").toBeLessThan(4e6);
    memory.allocate(size - kernels.held() - 128); // all of it is one block again
    expect(kernels.memory.buffer.byteLength).toBe(size);
  });

  test("a weight is copied once: changing its bytes later changes nothing", async () => {
    const engine = createWasmEngine();
    const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);
    const table = engine.matrix({ dtype: "f32", shape: [2, 3], bytes: new Uint8Array(numbers.buffer) });
    numbers.fill(0);
    const row = await engine.arena(() => engine.read(engine.embed(table, Int32Array.of(1))));
    expect(row).toEqual(Float32Array.of(4, 5, 6));
  });
});

describe("wrong use of the wasm engine", () => {
  test("arrays of a wrong length, freed arrays, foreign weights and ids out of range are refused by name", async () => {
    const engine = createWasmEngine();
    await engine.arena(async () => {
      const W = weightOf(engine, 4, 3);
      const x = engine.upload(new Float32Array(6));
      expect(() => engine.linear(x, W, { T: 3 })).toThrow("Cannot run linear: x has 6 numbers, 9 are needed");
      expect(() => engine.linear(x, W, { T: 2, rows: [1, 5] })).toThrow("rows 1 to 5 are asked for, the weight has 4");
      expect(() => engine.linear(x, W, { T: 2.5 })).toThrow(RangeError);
      expect(() => engine.linear(x, W, { T: 2, bias: weightOf(engine, 3, 1) })).toThrow("bias has 3 numbers");
      expect(() => engine.linear(new Float32Array(6), W, { T: 2 })).toThrow(TypeError);
      expect(() => engine.linear(x, weightOf(createWasmEngine(), 4, 9), { T: 2 })).toThrow(
        /^Cannot run linear: weight /,
      );
      expect(() => engine.embed(W, Int32Array.of(1, -1))).toThrow(
        "Cannot embed token -1: the vocabulary has 4 entries",
      );
      const int8 = engine.matrix({ dtype: "i8", shape: [4, 3], bytes: new Uint8Array(28) });
      expect(() => engine.embed(int8, Int32Array.of(1))).toThrow("table has a dtype that this operation does not take");
      expect(() => engine.gatherRows(x, Int32Array.of(2), { T: 2, D: 3 })).toThrow("row 2 is named, there are 2");
      expect(() => engine.headLoss(x, W, Int32Array.of(4, 0), { R: 2, D: 3 })).toThrow("Cannot score label 4");
      engine.free(x);
      expect(() => engine.linear(x, W, { T: 2 })).toThrow("Cannot run linear: x is free already");
      await expect(engine.read(x)).rejects.toThrow("Cannot read: array is free already");
    });
  });

  test("sequences, heads and caches that do not fit are refused", async () => {
    const engine = createWasmEngine();
    await engine.arena(async () => {
      const size = { T: 2, H: 2, G: 1, d: 2, window: 0 };
      const qkv = engine.upload(new Float32Array(16));
      for (const offsets of [[0, 1], [0, 3, 2], [1, 2], [0, -1, 2], []]) {
        expect(() => engine.attention(qkv, Int32Array.from(offsets), size)).toThrow(
          "cuSeqlens must ascend from 0 to T=2",
        );
      }
      expect(() => engine.attention(qkv, Int32Array.of(0, 2), { ...size, H: 3, G: 2 })).toThrow("do not share");
      const cache = engine.kvCache(1, 4);
      const run = () => engine.cachedAttention(qkv, [cache], Int32Array.of(0), Int32Array.of(0, 2), size);
      expect(run).toThrow("Cannot keep 2 tokens: the cache was made for 1");
    });
  });

  test("a set cancel flag makes the next operation throw", async () => {
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const engine = createWasmEngine({ cancel });
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(2));
      engine.swiglu(x, { T: 1, F: 1 });
      Atomics.store(cancel, 0, 1);
      expect(() => engine.swiglu(x, { T: 1, F: 1 })).toThrow("Cannot run swiglu: the work was cancelled");
    });
  });
});

test("the committed binary was made of the sources beside it", async () => {
  const script = fileURLToPath(new URL("../scripts/wasm.mjs", import.meta.url));
  await expect(promisify(execFile)(process.execPath, [script, "--check"])).resolves.toBeDefined();
});
