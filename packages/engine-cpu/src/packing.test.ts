/** Packed copies of linear maps: they change no bit, and engines over the same bytes share them. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Engine, type HostTensor, isScaled, narrow, quantize, type WeightDType } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { absent, bf16Levels, levels, openAt } from "../test/levels.ts";
import { loadAddon } from "./addon.ts";
import { type CpuEngineOptions, createEngine } from "./engine.ts";

const wave = (length: number, phase: number) => Float32Array.from({ length }, (_, i) => Math.sin(1.3 * i + phase));

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

function weightOf(dtype: Exclude<WeightDType, "f8">, rows: number, columns: number): HostTensor {
  const numbers = wave(rows * columns, 0.4);
  if (dtype === "f32") return { dtype, shape: [rows, columns], bytes: shared(new Uint8Array(numbers.buffer)) };
  const shape = [rows, columns];
  const bytes = isScaled(dtype) ? quantize(dtype, numbers, shape, "w") : narrow(numbers, dtype);
  return { dtype, shape, bytes: shared(bytes) };
}

/** Products of 1 to 129 rows in both directions, each twice: what makes a copy, and what finds one. */
async function products(engine: Engine, tensor: HostTensor, bias: HostTensor): Promise<Float32Array[]> {
  const [N = 0, K = 0] = tensor.shape;
  const weight = engine.matrix(tensor);
  const biasVector = engine.matrix(bias);
  return engine.arena(async () => {
    const results: Float32Array[] = [];
    for (const T of [3, 5, 40, 129]) {
      const [x, dy] = [engine.upload(wave(T * K, 0.1)), engine.upload(wave(T * N, 0.9))];
      const [past, before] = [engine.upload(wave(T * N, 2)), engine.upload(wave(T * K, 3))];
      results.push(await engine.read(engine.linear(x, weight, { T, bias: biasVector, residual: past })));
      results.push(await engine.read(engine.linearBackward(dy, weight, { T, residual: before })));
      results.push(await engine.read(engine.linear(x, weight, { T })));
      results.push(await engine.read(engine.linear(x, weight, { T, rows: [1, N - 1] })));
    }
    return results;
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);

const cases = [
  ...levels.map((level) => [level, "f32"] as const),
  ...bf16Levels.map((level) => [level, "bf16"] as const),
];
describe.each(cases)("packing at level %s, compute %s", (level, compute) => {
  test.each(["f32", "bf16", "f16", "i8", "nf4", "i4"] as const)(
    "changes no bit of products with %s weights",
    async (dtype) => {
      // More than one block of the contraction in both directions, and a part of a panel.
      const [tensor, bias] = [weightOf(dtype, 437, 401), weightOf("f32", 437, 1)];
      const run = (options: CpuEngineOptions) => products(openAt(level, { compute, ...options }), tensor, bias);
      const expected = await run({});
      for (const options of [{ packing: true }, { packing: true, threads: 2 }, { packing: true, threads: 3 }]) {
        const found = await run(options);
        const differ = expected.flatMap((values, i) =>
          found[i] && bytesOf(values).equals(bytesOf(found[i])) ? [] : [i],
        );
        expect(differ).toEqual([]);
      }
    },
  );
});

const collect = () => {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
};

/** Finalizers run after the collection, one turn of the event loop later. */
async function packedBytesAfterCollection(): Promise<number> {
  for (let turn = 0; turn < 10; turn++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return loadAddon().addon.packedBytes();
}

test.skipIf(absent !== "")(
  `engines share one copy for each direction, made at first use, and give it back${absent}`,
  async () => {
    const before = await packedBytesAfterCollection();
    const bytes = () => loadAddon().addon.packedBytes() - before;
    const tensor = weightOf("bf16", 96, 192);
    const use = async (direction: "linear" | "linearBackward", T: number) => {
      const engine = createEngine({ packing: true });
      const weight = engine.matrix(tensor);
      await engine.arena(async () => {
        const x = engine.upload(new Float32Array(T * (direction === "linear" ? 192 : 96)));
        engine[direction](x, weight, { T });
      });
      return { engine, weight };
    };
    const kept = [await use("linear", 4)];
    expect(bytes()).toBe(0); // few rows go past it
    kept.push(await use("linear", 8), await use("linear", 8));
    expect(bytes()).toBe(4 * 96 * 192);
    kept.push(await use("linearBackward", 8));
    expect(bytes()).toBe(2 * 4 * 96 * 192);
    expect(kept.length).toBe(4);
    kept.length = 0;
    expect((await packedBytesAfterCollection()) - before).toBe(0);
  },
);

test.skipIf(absent !== "")(
  `a packed copy of another weight, or of another engine's arithmetic, is refused${absent}`,
  () => {
    const { addon } = loadAddon();
    const level = levels[0] ?? "";
    const engine = addon.open(level, 1, false);
    const [one, other] = [new Uint8Array(4 * 64), new Uint8Array(4 * 64)];
    const packs = addon.pack(engine, one, 0, 8, 8);
    const [x, y] = [addon.take(engine, 64), addon.take(engine, 64)];
    const none = [undefined, undefined, undefined, undefined, undefined];
    const call = (bytes: Uint8Array, rows: number, packed: unknown) => () =>
      addon.linear(engine, 8, 0, 8, bytes, 0, rows, 8, y, x, ...none, 0, packed);
    call(one, 8, packs)();
    expect(call(other, 8, packs)).toThrow("Cannot run linear: packed is of another weight or engine");
    expect(call(one, 8, engine)).toThrow("Cannot run linear: packed is not what pack returns");
    expect(call(one, 8, {})).toThrow("Cannot run linear: packed is not what pack returns");
  },
);
