/** Every kind of base, from a Hugging Face folder into memory. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyBases } from "../../test/tiny_bases.ts";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { narrow, widen } from "../formats/dtype.ts";
import { parseSafetensors, serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { isScaled } from "../formats/scaled.ts";
import { parameterCount } from "../model/hf_names.ts";
import { type WeightImage, weightOf } from "../model/weights.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-bases-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Shape and numbers of every weight. */
function contentOf(image: WeightImage) {
  return Object.entries(image.places).map(([name, { dtype, shape, offset, byteLength }]) => {
    if (isScaled(dtype)) throw new Error("not quantised here");
    const values = new Float32Array(byteLength / (dtype === "f32" ? 4 : 2));
    widen(dtype, new Uint8Array(image.bytes, offset, byteLength), values);
    return [name, shape, values];
  });
}

function readTensors(): Map<string, Tensor> {
  const path = join(folder, "model.safetensors");
  return new Map(parseSafetensors(new Uint8Array(readFileSync(path)), path).tensors);
}
const writeTensors = (tensors: ReadonlyMap<string, Tensor>) =>
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors));
const load = async () => loadWeights(folder, await readModelConfig(folder), { weightDtypes: ["f32", "bf16", "f16"] });

test.each(tinyBases)("$title: config and weights are read back number for number", async ({ changes }) => {
  const config = tinyConfig(changes);
  const image = tinyImage(config);
  writeTinyModel(folder, config, image);
  expect(await readModelConfig(folder)).toEqual(config);
  const loaded = await load();
  expect(contentOf(loaded)).toEqual(contentOf(image));
  const numbers = Object.values(image.places).reduce((sum, { byteLength }) => sum + byteLength / 4, 0);
  expect(parameterCount(config)).toBe(numbers);
});

test.each(tinyBases)("$title: a bare model's names and tensors of no use change nothing", async ({ changes }) => {
  const config = tinyConfig(changes);
  const image = tinyImage(config);
  writeTinyModel(folder, config, image);
  const bare = new Map(
    [...readTensors()].map(([name, tensor]) => [name.replace(/^(model|transformer)\./, ""), tensor]),
  );
  const mask: Tensor = { dtype: "F32", shape: [1, 1, 2, 2], bytes: new Uint8Array(16).fill(7) };
  writeTensors(
    new Map([...bare, ["h.0.attn.bias", mask], ["h.0.attn.masked_bias", mask], ["layers.0.rotary_emb.inv_freq", mask]]),
  );
  expect(contentOf(await load())).toEqual(contentOf(image));
});

test("gpt2's maps are transposed in the dtype that they are stored in; gemma's norms get their 1 in float32", async () => {
  const halves = (tensors: ReadonlyMap<string, Tensor>) =>
    new Map(
      [...tensors].map(([name, { shape, bytes }]) => {
        const values = new Float32Array(bytes.slice().buffer);
        return [name, { dtype: "BF16" as const, shape, bytes: narrow(values, "bf16") }];
      }),
    );
  const gpt2 = tinyConfig(tinyBases[5].changes);
  writeTinyModel(folder, gpt2, tinyImage(gpt2));
  const stored = halves(readTensors());
  writeTensors(stored);
  const up = weightOf(await load(), "layers.1.gateUp");
  const [rows, columns] = up?.shape ?? [];
  expect([up?.dtype, rows, columns]).toEqual(["bf16", 20, 12]);
  const [own, theirs] = [up?.bytes, stored.get("transformer.h.1.mlp.c_fc.weight")?.bytes].map(
    (bytes) => new Uint16Array(bytes?.slice().buffer ?? []),
  );
  expect(own).toEqual(theirs.map((_, i) => theirs[(i % columns) * rows + Math.floor(i / columns)]));

  const gemma = tinyConfig(tinyBases[4].changes);
  writeTinyModel(folder, gemma, tinyImage(gemma));
  const small = Float32Array.of(2 ** -8, 2 ** -20, -0.5, 0, 1, 2, 3, 4, 5, 6, 7, 8); // 1 + 2⁻²⁰ is no bf16
  const tensors = halves(readTensors());
  writeTensors(tensors.set("model.norm.weight", { dtype: "BF16", shape: [12], bytes: narrow(small, "bf16") }));
  const image = await load();
  expect(weightOf(image, "layers.0.o")?.dtype).toBe("bf16");
  const norm = weightOf(image, "finalNorm");
  expect(norm?.dtype).toBe("f32");
  expect(new Float32Array(norm?.bytes.slice().buffer ?? [])).toEqual(small.map((x) => x + 1));
});

test("a missing table of positions and a map that lies the other way are named", async () => {
  const config = tinyConfig(tinyBases[5].changes);
  writeTinyModel(folder, config, tinyImage(config));
  const tensors = readTensors();
  tensors.delete("transformer.wpe.weight");
  const map = tensors.get("transformer.h.0.mlp.c_fc.weight");
  if (map) tensors.set("transformer.h.0.mlp.c_fc.weight", { ...map, shape: map.shape.toReversed() });
  writeTensors(tensors);
  await expect(load()).rejects.toThrow(
    "transformer.wpe.weight is in no weight file, needed is F32, F16 or BF16 [64, 12]",
  );
  await expect(load()).rejects.toThrow("config.json needs F32, F16 or BF16 [12, 20]");
});
