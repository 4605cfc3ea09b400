/** Weights of 8 and 4 bits: a product over them has the bits of one over the numbers that they stand for; a model of them is near the base. */
import { cellGradient, createModel, packCell, type WeightImage } from "@zerogate/core";
import { dequantize, type HostTensor, quantize, type ScaledDType } from "@zerogate/core/engine";
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
  { dtype: "i8", gate: 0.02, tag: "" },
  { dtype: "f8", gate: 0.06, tag: "" },
  { dtype: "nf4", gate: 0.06, tag: " [M-nf4]" },
  { dtype: "i4", gate: 0.06, tag: " [M-int4]" },
] as const;

describe.skipIf(absent !== "")(`weights with scales in bf16${absent}`, () => {
  test.each(kinds)("$dtype: forward, backward and parts have the bits of the widened weight$tag", async ({ dtype }) => {
    const engine = open();
    const [T, N, K] = [9, 48, 104]; // more than one block of a row, and a part of one
    const values = Float32Array.from({ length: N * K }, (_, i) => Math.sin(i * i) * 2 ** (((i * 7) % 19) - 12));
    const bytes = quantize(dtype, values, [N, K], "w");
    const wide = dequantize(dtype, bytes, [N, K]);
    const own = engine.matrix({ dtype, shape: [N, K], bytes });
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
    expect(() => engine.matrix({ dtype, shape: [N, K], bytes: bytes.subarray(4) })).toThrow(RangeError);
    const asTable = engine.arena(async () => engine.embed(own, Int32Array.of(0)));
    await expect(asTable).rejects.toThrow(`Cannot use a weight of ${dtype}: it is for linear maps only`);
  });

  test.each(kinds)(
    "$dtype: loss and gradient of a cell are those of the base within the gate$tag",
    async ({ dtype, gate }) => {
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
      const [base, eight] = [await gradientOf(image), await gradientOf(quantized(image, dtype))];
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

/** The image with its linear maps in that form. */
function quantized({ bytes, places }: WeightImage, dtype: ScaledDType): WeightImage {
  const out: Record<string, WeightImage["places"][string]> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, place] of Object.entries(places)) {
    const isMap = /\.(qkv|o|gateUp|down)$/.test(name);
    const plain = new Uint8Array(bytes, place.offset, place.byteLength);
    const part = isMap ? quantize(dtype, new Float32Array(plain.slice().buffer), place.shape, name) : plain;
    const stored: HostTensor["dtype"] = isMap ? dtype : place.dtype;
    out[name] = { dtype: stored, shape: place.shape, offset, byteLength: part.byteLength };
    parts.push(part);
    offset = Math.ceil((offset + part.byteLength) / 64) * 64;
  }
  const block = new SharedArrayBuffer(offset);
  for (const [i, { offset: at }] of Object.values(out).entries()) new Uint8Array(block).set(parts[i] ?? [], at);
  return { bytes: block, places: out };
}
