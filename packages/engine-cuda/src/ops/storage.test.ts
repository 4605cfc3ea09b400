/** Weights of 8 bits: a product over them has the bits of one over the numbers that they stand for; a model of them is near the base. */
import { cellGradient, createModel, packCell, type WeightImage } from "@zerogate/core";
import {
  dequantizeRows,
  dequantizeRowsFp8,
  type HostTensor,
  int8Bytes,
  int8Rows,
  quantizeRows,
  quantizeRowsFp8,
} from "@zerogate/core/engine";
import type { CellSum } from "@zerogate/core/training";
import { afterAll, describe, expect, test, vi } from "vitest";
import { single, wave } from "../../../core/test/numeric.ts";
import { tinyAdapter, tinyConfig, tinyImage, tinyTokens } from "../../../core/test/tiny_model.ts";
import { absent, fakeEnv } from "../../test/fake.ts";
import { type CudaEngine, createEngine } from "../engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let opened: CudaEngine | undefined;
const open = () => (opened ??= createEngine({ tune: false }));
afterAll(() => opened?.close());

const kinds = [
  { dtype: "i8", quantize: quantizeRows, dequantize: dequantizeRows, gate: 0.02 },
  { dtype: "f8", quantize: quantizeRowsFp8, dequantize: dequantizeRowsFp8, gate: 0.06 },
] as const;

describe.skipIf(absent !== "")(`weights of 8 bits in bf16${absent}`, () => {
  test.each(kinds)("$dtype: forward, backward and parts have the bits of the widened weight", async (kind) => {
    const engine = open();
    const [T, N, K] = [9, 48, 40];
    const values = Float32Array.from({ length: N * K }, (_, i) => Math.sin(i * i) * 2 ** (((i * 7) % 19) - 12));
    const bytes = new Uint8Array(int8Bytes([N, K]));
    kind.quantize(values, int8Rows(bytes, N), "w");
    const wide = kind.dequantize(bytes, [N, K]);
    const own = engine.matrix({ dtype: kind.dtype, shape: [N, K], bytes });
    const same = engine.matrix({ dtype: "f32", shape: [N, K], bytes: new Uint8Array(wide.buffer) });
    const rows = [16, 40] as const;
    const work = (weight: typeof own) =>
      engine.arena(async () => {
        const [x, dy, part] = [wave(T * K, 0.1), wave(T * N, 0.9), wave(T * 24, 0.4)].map((v) =>
          engine.upload(single(v)),
        );
        if (!x || !dy || !part) throw new Error("nothing was uploaded");
        const results = [
          engine.linear(x, weight, { T }),
          engine.linear(x, weight, { T, rows, toRead: true }),
          engine.linearBackward(dy, weight, { T, toRead: true }),
          engine.linearBackward(part, weight, { T, rows }),
        ];
        return Promise.all(results.map((array) => engine.read(array)));
      });
    expect(await work(own)).toEqual(await work(same));
    expect(() => engine.matrix({ dtype: kind.dtype, shape: [N, K], bytes: bytes.subarray(4) })).toThrow(RangeError);
    const asTable = engine.arena(async () => engine.embed(own, Int32Array.of(0)));
    await expect(asTable).rejects.toThrow(`Cannot use a weight of ${kind.dtype}: it is for linear maps only`);
  });

  test.each(kinds)(
    "$dtype: loss and gradient of a cell are those of the base within the gate",
    async ({ dtype, quantize, gate }) => {
      const engine = open();
      const config = tinyConfig({
        hiddenSize: 64,
        heads: 2,
        kvHeads: 2,
        headDim: 32,
        intermediateSize: 96,
        vocabSize: 64,
      });
      const image = tinyImage(config);
      const cell = packCell(tinyTokens(config, [20, 12]), [0, 1]);
      const gradientOf = (weights: WeightImage) =>
        cellGradient(createModel(engine, config, weights), tinyAdapter(config), cell, 1 / cell.rows_R.length);
      const [base, eight] = [await gradientOf(image), await gradientOf(quantized(image, dtype, quantize))];
      expect(Math.abs(eight.lossSum / base.lossSum - 1)).toBeLessThan(gate);
      expect(distance(eight, base)).toBeLessThan(10 * gate);
      expect(distance(eight, base)).toBeGreaterThan(0);
    },
  );
});

/** Root-mean-square difference of gradients, of the second's. */
function distance({ gradient }: Pick<CellSum, "gradient">, { gradient: right }: Pick<CellSum, "gradient">): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(squares(gradient.map((g, i) => g - (right[i] ?? 0))) / squares(right));
}

/** The image with its linear maps in 8 bits. */
function quantized({ bytes, places }: WeightImage, dtype: "i8" | "f8", quantize: typeof quantizeRows): WeightImage {
  const out: Record<string, WeightImage["places"][string]> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, place] of Object.entries(places)) {
    const [rows = 0] = place.shape;
    const isMap = /\.(qkv|o|gateUp|down)$/.test(name);
    const plain = new Uint8Array(bytes, place.offset, place.byteLength);
    const part = isMap ? new Uint8Array(int8Bytes(place.shape)) : plain;
    if (isMap) quantize(new Float32Array(plain.slice().buffer), int8Rows(part, rows), name);
    const stored: HostTensor["dtype"] = isMap ? dtype : place.dtype;
    out[name] = { dtype: stored, shape: place.shape, offset, byteLength: part.byteLength };
    parts.push(part);
    offset = Math.ceil((offset + part.byteLength) / 64) * 64;
  }
  const block = new SharedArrayBuffer(offset);
  for (const [i, { offset: at }] of Object.values(out).entries()) new Uint8Array(block).set(parts[i] ?? [], at);
  return { bytes: block, places: out };
}
