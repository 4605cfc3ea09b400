/** Wrong use is an Error that says what and which sizes, never a crash, and the engine works on after it. */

import { InputError } from "@zerogate/core";
import type { AttentionSize, Matrix } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { absent, bf16Levels, levels, openAt } from "../test/levels.ts";
import { loadAddon } from "./addon.ts";
import { type CpuEngine, createEngine } from "./engine.ts";

const weightOf = (engine: CpuEngine, rows: number, columns: number): Matrix =>
  engine.matrix({ dtype: "f32", shape: [rows, columns], bytes: new Uint8Array(4 * rows * columns) });

describe.skipIf(absent !== "")(`misuse${absent}`, () => {
  test("arrays of a wrong length, freed arrays and foreign things are refused by name", async () => {
    const engine = createEngine();
    await engine.arena(async () => {
      const W = weightOf(engine, 4, 3);
      const x = engine.upload(new Float32Array(6));
      expect(() => engine.linear(x, W, { T: 3 })).toThrow("Cannot run linear: x has 6 numbers, 9 are needed");
      expect(() => engine.linear(x, W, { T: 2, rows: [1, 5] })).toThrow(
        "Cannot run linear: rows 1 to 5 are asked for, the weight has 4",
      );
      expect(() => engine.linear(x, W, { T: 2.5 })).toThrow(RangeError);
      expect(() => engine.linear(x, W, { T: -1 })).toThrow(RangeError);
      expect(() => engine.linear(x, W, { T: 2, bias: weightOf(engine, 3, 1) })).toThrow("bias has 3 numbers");
      expect(() => engine.linear(new Float32Array(6), W, { T: 2 })).toThrow("Cannot run linear: x is not an array");
      for (const nothing of [null, undefined, 7, "x", {}, Number.NaN, Symbol("x")] as never[]) {
        expect(() => engine.linear(nothing, W, { T: 2 })).toThrow(TypeError);
      }
      for (const nothing of [{}, { rows: 4, columns: 3 }, { rows: 4, columns: 3, weight: [1, 2, 3, 4] }] as never[]) {
        expect(() => engine.linear(x, nothing, { T: 2 })).toThrow(/^Cannot /);
      }
      engine.free(x);
      expect(() => engine.linear(x, W, { T: 2 })).toThrow("Cannot run linear: x is free already");
      expect(() => engine.free(x)).toThrow("Cannot free an array: it is free already");
      expect(() => engine.keep(x)).toThrow("Cannot keep an array: it is not of this arena");
      const y = engine.linear(engine.upload(Float32Array.of(1, 2, 3)), W, { T: 1 });
      expect(await engine.read(y)).toEqual(new Float32Array(4));
    });
  });

  test("norms, activations and embeddings name what does not fit", async () => {
    const engine = createEngine();
    await engine.arena(async () => {
      const [weight_D, bias_D] = [weightOf(engine, 3, 1), weightOf(engine, 4, 1)];
      const x = engine.upload(new Float32Array(6));
      expect(() => engine.layerNorm(x, { weight_D, bias_D }, { T: 2, D: 3, eps: 1e-5 })).toThrow(
        "Cannot run layerNorm: bias_D has 4 numbers, D is 3",
      );
      const input = { dy_TD: x, x_TD: x, weight_D, stats_T2: x };
      expect(() => engine.layerNormBackward(input, { T: 2, D: 3 })).toThrow("stats_T2 has 6 numbers, 4 are needed");
      expect(() => engine.geglu(x, { T: 2, F: 3 })).toThrow("gateUp has 6 numbers, 12 are needed");
      expect(() => engine.geluBackward(x, engine.upload(new Float32Array(5)), { T: 2, F: 3 })).toThrow("are needed");
      const table = weightOf(engine, 5, 3);
      expect(() => engine.embed(table, Int32Array.of(1), { residual: x })).toThrow(
        "residual has 6 numbers, 3 are needed",
      );
    });
  });

  test("arrays of one engine are not taken for those of another, when handles differ", async () => {
    const [a, b] = [createEngine(), createEngine()];
    await a.arena(async () => {
      a.upload(new Float32Array(3));
      const second = a.upload(new Float32Array(3));
      const size = { T: 1, H: 1, G: 1, d: 2, window: 0 };
      expect(() => b.rope(second, second, size)).toThrow("Cannot run rope: qkv_TX is free already");
      await expect(b.read(second)).rejects.toThrow("Cannot read: array is free already");
    });
  });

  test("weights whose bytes do not fit their shape or dtype are refused", () => {
    const engine = createEngine();
    const tensor = { dtype: "bf16" as const, shape: [2, 3], bytes: new Uint8Array(11) };
    expect(() => engine.matrix(tensor)).toThrow(
      "Cannot use a weight: it is bf16 [2, 3] in 11 bytes, one or two dimensions and 12 bytes are needed",
    );
    expect(() => engine.matrix({ ...tensor, dtype: "i2" as "bf16" })).toThrow("Cannot use a weight of i2");
    const odd = engine.matrix({ ...tensor, bytes: new Uint8Array(new ArrayBuffer(16), 1, 12) });
    expect(() => engine.embed(odd, Int32Array.of(0))).toThrow("table does not start at a multiple of 2 bytes");
  });

  test.each([
    ["nf4", 2 * 36],
    ["i4", 2 * 18],
  ] as const)("%s is for linear maps, in whole blocks at any address", async (dtype, needed) => {
    const engine = createEngine();
    const tensor = { dtype, shape: [2, 3], bytes: new Uint8Array(needed) };
    const W = engine.matrix(tensor);
    const refused = "a dtype that this operation does not take";
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(3));
      expect(() => engine.embed(W, Int32Array.of(0))).toThrow(`table has ${refused}`);
      expect(() => engine.headLoss(x, W, Int32Array.of(0), { R: 1, D: 3 })).toThrow(`head_VD has ${refused}`);
      const odd = engine.matrix({ ...tensor, bytes: new Uint8Array(new ArrayBuffer(needed + 1), 1, needed) });
      expect(await engine.read(engine.linear(x, odd, { T: 1 }))).toEqual(new Float32Array(2));
    });
    expect(() => engine.matrix({ ...tensor, bytes: new Uint8Array(6) })).toThrow(`${needed} bytes are needed`);
  });

  test("int8 is for linear maps, with scales that are whole numbers of the memory", async () => {
    const engine = createEngine();
    const tensor = { dtype: "i8" as const, shape: [2, 3], bytes: new Uint8Array(14) };
    const W = engine.matrix(tensor);
    const refused = "a dtype that this operation does not take";
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(3));
      expect(() => engine.embed(W, Int32Array.of(0))).toThrow(`table has ${refused}`);
      expect(() => engine.headLoss(x, W, Int32Array.of(0), { R: 1, D: 3 })).toThrow(`head_VD has ${refused}`);
      const bias = engine.matrix({ ...tensor, shape: [2, 1], bytes: new Uint8Array(10) });
      expect(() => engine.linear(x, W, { T: 1, bias })).toThrow(`bias has ${refused}`);
      const odd = engine.matrix({ ...tensor, bytes: new Uint8Array(new ArrayBuffer(16), 1, 14) });
      expect(() => engine.linear(x, odd, { T: 1 })).toThrow("weight does not start at a multiple of 4 bytes");
    });
    expect(() => engine.matrix({ ...tensor, bytes: new Uint8Array(6) })).toThrow("14 bytes are needed");
  });

  test("a weight whose memory was moved away is refused", () => {
    const engine = createEngine();
    const bytes = new Uint8Array(24);
    const W = engine.matrix({ dtype: "f32", shape: [2, 3], bytes });
    structuredClone(bytes, { transfer: [bytes.buffer] });
    expect(() => engine.embed(W, Int32Array.of(0))).toThrow("Cannot run embed: table has 0 bytes, 24 are needed");
  });

  test("rows, sequences, heads and caches that do not fit are refused", async () => {
    const engine = createEngine();
    await engine.arena(async () => {
      const size: AttentionSize = { T: 2, H: 2, G: 1, d: 2, window: 0 };
      const qkv = engine.upload(new Float32Array(16));
      const table = weightOf(engine, 6, 5);
      expect(() => engine.embed(table, Int32Array.of(1, -1))).toThrow(
        "Cannot embed token -1: the vocabulary has 6 entries",
      );
      expect(() => engine.gatherRows(qkv, Int32Array.of(2), { T: 2, D: 8 })).toThrow("row 2 is named, there are 2");
      expect(() =>
        engine.headLoss(engine.upload(new Float32Array(5)), table, Int32Array.of(6), { R: 1, D: 5 }),
      ).toThrow("Cannot score label 6: the head has 6 rows");
      for (const offsets of [[0, 1], [0, 3, 2], [1, 2], [0, -1, 2], []]) {
        expect(() => engine.attention(qkv, Int32Array.from(offsets), size)).toThrow(
          "cuSeqlens must ascend from 0 to T=2",
        );
      }
      expect(() => engine.attention(qkv, Float32Array.of(0, 2) as unknown as Int32Array, size)).toThrow(TypeError);
      expect(() => engine.attention(qkv, Int32Array.of(0, 2), { ...size, H: 3, G: 2 })).toThrow(
        "3 query heads do not share 2 key heads evenly",
      );
      const cache = engine.kvCache(1, 4);
      const run = () => engine.cachedAttention(qkv, [cache], Int32Array.of(0), Int32Array.of(0, 2), size);
      expect(run).toThrow("Cannot keep 2 tokens: the cache was made for 1");
      engine.freeCache(cache);
      expect(() => engine.freeCache(cache)).toThrow("it is free already");
    });
  });

  test("empty inputs give empty outputs", async () => {
    const engine = createEngine();
    await engine.arena(async () => {
      const none = engine.upload(new Float32Array());
      const W = weightOf(engine, 4, 3);
      expect((await engine.read(engine.linear(none, W, { T: 0 }))).length).toBe(0);
      expect((await engine.read(engine.linearBackward(none, W, { T: 0 }))).length).toBe(0);
      const loss = engine.headLoss(none, W, new Int32Array(), { R: 0, D: 3, cells: [{ R: 0, scale: 1 }] });
      expect((await engine.read(loss.nll_R)).length).toBe(0);
    });
  });

  test("more memory than there is is an error, not a crash", () => {
    const engine = createEngine();
    expect(() => engine.kvCache(2 ** 30, 2 ** 16)).toThrow(/Cannot take an array: /);
  });

  test("impossible options are refused", () => {
    expect(() => createEngine({ threads: 0 })).toThrow("threads is 0");
    expect(() => createEngine({ threads: 1e6 })).toThrow("at most 1024 are possible");
    expect(() => openAt("avx1024")).toThrow(InputError);
    expect(() => openAt("avx1024")).toThrow('ZEROGATE_CPU_LEVEL is "avx1024", this machine runs ');
    const plain = levels.find((level) => !bf16Levels.includes(level)) ?? "portable";
    expect(() => openAt(plain, { compute: "bf16" })).toThrow(`level ${plain} has no bf16 dot product`);
    expect(openAt(plain).name).toBe(`cpu/${plain}/f32`);
  });

  test("operations on something that is no engine are refused", () => {
    const { addon } = loadAddon();
    for (const nothing of [undefined, null, {}, 3]) {
      expect(() => addon.swiglu(nothing as never, 1, 1, 1, 1)).toThrow("the first argument is not an engine");
      expect(() => addon.take(nothing as never, 1)).toThrow(TypeError);
    }
  });

  test("a set cancel flag makes the next operation throw; what was allocated is still freed", async () => {
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const engine = createEngine({ cancel });
    await engine.arena(async () => {
      const x = engine.upload(new Float32Array(2));
      engine.swiglu(x, { T: 1, F: 1 });
      Atomics.store(cancel, 0, 1);
      expect(() => engine.swiglu(x, { T: 1, F: 1 })).toThrow("Cannot run swiglu: the work was cancelled");
      Atomics.store(cancel, 0, 0);
      engine.swiglu(x, { T: 1, F: 1 });
    });
  });
});
