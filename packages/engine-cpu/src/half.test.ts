/** Bases whose weights are stored in half precision: the same model as their numbers widened to float32. */

import { createModel, generate, type WeightImage } from "@zerogate/core";
import { type DType, narrow, widen } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import { tinyAdapter, tinyConfig, tinyImage } from "../../core/test/tiny_model.ts";
import { absent } from "../test/levels.ts";
import { createEngine } from "./engine.ts";

/** The weights rounded to `dtype`: as such a file holds them, and widened again. */
function stored(image: WeightImage, dtype: DType): { half: WeightImage; single: WeightImage } {
  const half = { bytes: new SharedArrayBuffer(image.bytes.byteLength), places: { ...image.places } };
  const single = { ...image, bytes: new SharedArrayBuffer(image.bytes.byteLength) };
  for (const [name, place] of Object.entries(image.places)) {
    const { offset, byteLength } = place;
    const bytes = narrow(new Float32Array(image.bytes, offset, byteLength / 4), dtype);
    new Uint8Array(half.bytes).set(bytes, offset);
    half.places[name] = { ...place, dtype, byteLength: bytes.byteLength };
    widen(dtype, bytes, new Float32Array(single.bytes, offset, byteLength / 4));
  }
  return { half, single };
}

test.skipIf(absent !== "").each(["bf16", "f16"] as const)(
  `a base stored in %s generates what its numbers widened to f32 generate, with an adapter too [P11]${absent}`,
  async (dtype) => {
    const config = tinyConfig({ eosTokenIds: [] });
    const { half, single } = stored(tinyImage(config), dtype);
    for (const adapter of [undefined, tinyAdapter(config)]) {
      const [found, expected] = await Promise.all(
        [half, single].map(async (image) => {
          const ids: number[] = [];
          const model = createModel(createEngine(), config, image);
          for await (const id of generate(model, adapter, [4, 9, 22], { maxNewTokens: 24 })) ids.push(id);
          return ids;
        }),
      );
      expect(found).toHaveLength(24);
      expect(found).toEqual(expected);
    }
  },
);
