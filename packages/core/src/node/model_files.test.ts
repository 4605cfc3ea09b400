import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { all, config, json, problemsOf, tensorsOf } from "../../test/folder_tensors.ts";
import type { DType, FileTensor, WeightDType } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { widen } from "../formats/dtype.ts";
import { parseSafetensors, serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { isScaled } from "../formats/scaled.ts";
import { createModel } from "../model/decoder.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { weightSources } from "../model/hf_names.ts";
import { imageBytes, type WeightImage, weightOf } from "../model/weights.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

let scratch: string;
let count = 0;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-model-"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function folderOf(files: Record<string, Uint8Array | string>): Promise<string> {
  const folder = join(scratch, String(count++));
  await mkdir(folder);
  for (const [name, bytes] of Object.entries({ "config.json": JSON.stringify(json), ...files })) {
    await writeFile(join(folder, name), bytes);
  }
  return folder;
}
const single = (tensors: Map<string, Tensor>) =>
  folderOf({ "model.safetensors": serializeSafetensors(tensors, { format: "pt" }) });

const load = (folder: string, weightDtypes: readonly DType[] = all) => loadWeights(folder, config, { weightDtypes });

function numbers({ dtype, bytes }: { dtype: WeightDType; bytes: Uint8Array }): Float32Array {
  if (isScaled(dtype)) throw new Error("not quantised here");
  const out = new Float32Array(bytes.length / (dtype === "f32" ? 4 : 2));
  widen(dtype, bytes, out);
  return out;
}

/** Shape and numbers of every weight, as they lie in the image. */
function contentOf(image: WeightImage, model = config): unknown {
  return weightSources(model).map(({ name }) => {
    const weight = weightOf(image, name);
    return [name, weight?.shape, weight && numbers(weight)];
  });
}

/** The same from the tensors: the numbers of the parts, one after the other. */
function contentFrom(tensors: ReadonlyMap<string, Tensor>, model = config): unknown {
  const dtypes = { F32: "f32", BF16: "bf16", F16: "f16" } as Readonly<Record<string, DType>>;
  return weightSources(model).map(({ name, shape, parts }) => {
    const values = parts.flatMap(({ hfName }) => {
      const tensor = tensors.get(hfName);
      return tensor ? [...numbers({ dtype: dtypes[tensor.dtype], bytes: tensor.bytes })] : [];
    });
    return [name, shape, Float32Array.from(values)];
  });
}

describe("loadWeights", () => {
  test("the block is made by who loads: over a SharedArrayBuffer it has the same bytes", async () => {
    const folder = await single(tensorsOf(config, () => "bf16"));
    const own = await load(folder);
    const allocate = (bytes: number) => new SharedArrayBuffer(bytes);
    const shared = await loadWeights(folder, config, { weightDtypes: all, allocate });
    expect(shared.bytes).toBeInstanceOf(SharedArrayBuffer);
    expect(new Uint8Array(shared.bytes)).toEqual(new Uint8Array(own.bytes));
    expect(shared.places).toEqual(own.places);
  });

  test.each(all)("keeps %s as it is, merges qkv and gate·up, aligns every weight to 64 bytes", async (dtype) => {
    const tensors = tensorsOf(config, () => dtype);
    const image = await load(await single(tensors));
    expect(contentOf(image)).toEqual(contentFrom(tensors));
    const places = Object.values(image.places);
    expect(places.every((place) => place.dtype === dtype && place.offset % 64 === 0)).toBe(true);
    expect(image.bytes).toBeInstanceOf(ArrayBuffer);
    expect(image.bytes.byteLength % 64).toBe(0);
    for (const [i, place] of places.entries()) {
      expect(place.offset + place.byteLength).toBeLessThanOrEqual(places[i + 1]?.offset ?? image.bytes.byteLength);
    }
  });

  test("widens what the engine does not take, exactly", async () => {
    const tensors = tensorsOf(config, (name) => (name.includes("mlp") ? "f16" : "bf16"));
    const image = await load(await single(tensors), ["f32", "bf16"]);
    expect(contentOf(image)).toEqual(contentFrom(tensors));
    expect(image.places["layers.0.gateUp"]?.dtype).toBe("f32");
    expect(image.places["layers.0.qkv"]?.dtype).toBe("bf16");
  });

  test("widens merged parts that differ in dtype", async () => {
    const tensors = tensorsOf(config, (name) =>
      name.includes("k_proj") ? "f16" : name.includes("v_proj") ? "f32" : "bf16",
    );
    const image = await load(await single(tensors));
    expect(contentOf(image)).toEqual(contentFrom(tensors));
    expect(image.places["layers.1.qkv"]?.dtype).toBe("f32");
    expect(image.places["layers.1.o"]?.dtype).toBe("bf16");
  });

  test("reads shards, and takes each tensor from the shard that the index names", async () => {
    const tensors = tensorsOf(config);
    const names = [...tensors.keys()];
    const shard = (wanted: (i: number) => boolean) =>
      serializeSafetensors(new Map([...tensors].filter((_, i) => wanted(i))));
    const decoy: Tensor = { dtype: "F32", shape: [7], bytes: new Uint8Array(28) };
    // A decoy in the shard that is read last must not win.
    const last = parseSafetensors(
      shard((i) => i % 2 === 0),
      "x",
    ).tensors.set("model.norm.weight", decoy);
    const weight_map = Object.fromEntries(
      names.map((name, i) => [name, i % 2 === 0 ? "b.safetensors" : "a.safetensors"]),
    );
    expect(weight_map["model.norm.weight"]).toBe("a.safetensors");
    const folder = await folderOf({
      "a.safetensors": shard((i) => i % 2 === 1),
      "b.safetensors": serializeSafetensors(last),
      "model.safetensors.index.json": JSON.stringify({ metadata: { total_size: 0 }, weight_map }),
    });
    expect(contentOf(await load(folder))).toEqual(contentFrom(tensors));
  });

  test("accepts names without model. and ignores what the model has no use for", async () => {
    const tensors = tensorsOf(config);
    const renamed = new Map([...tensors].map(([name, tensor]) => [name.replace(/^model\./, ""), tensor]));
    renamed.set("layers.0.self_attn.rotary_emb.inv_freq", { dtype: "F64", shape: [1], bytes: new Uint8Array(8) });
    expect(contentOf(await load(await single(renamed)))).toEqual(contentFrom(tensors));
  });

  test("a tied model has no head, also if the file carries one; an untied model needs it", async () => {
    const tensors = tensorsOf(config);
    const tied = { ...config, tiedEmbeddings: true };
    const image = await loadWeights(await single(tensors), tied, { weightDtypes: all });
    expect(image.places).not.toHaveProperty("head");
    tensors.delete("lm_head.weight");
    expect(await problemsOf(load(await single(tensors)))).toEqual([
      "lm_head.weight is in no weight file, needed is F32, F16 or BF16 [11, 7], or tie_word_embeddings true in config.json: fetch the model again",
    ]);
  });

  test("reports progress up to the bytes of the needed tensors", async () => {
    const steps: [number, number][] = [];
    const folder = await single(tensorsOf(config, () => "bf16"));
    await loadWeights(folder, config, { weightDtypes: ["f32"], onProgress: (...step) => steps.push(step) });
    const total = weightSources(config).reduce((sum, { shape }) => sum + 2 * shape.reduce((a, b) => a * b), 0);
    expect(steps.at(-1)).toEqual([total, total]);
    expect(steps.every(([done], i) => done > (steps[i - 1]?.[0] ?? 0))).toBe(true);
  });

  test("a tensor longer than one chunk is read and widened without a seam", async () => {
    const large = parseModelConfig(
      { ...json, hidden_size: 1024, vocab_size: 9001, tie_word_embeddings: true },
      "config.json",
    );
    const tensors = tensorsOf(large, () => "bf16"); // embedding: 18 MB in the file, 36 MB widened
    const image = await loadWeights(await single(tensors), large, { weightDtypes: ["f32"] });
    const embed = weightOf(image, "embed");
    const expected = tensors.get("model.embed_tokens.weight");
    const out = new Float32Array(9001 * 1024);
    widen("bf16", expected?.bytes ?? new Uint8Array(), out);
    expect(Buffer.compare(embed?.bytes ?? new Uint8Array(), new Uint8Array(out.buffer))).toBe(0);
  });
});

describe("weights left in their files", () => {
  // gate·up are neighbours in the order of names, as Hugging Face writes them; the parts of qkv are apart.
  const sizes = { hidden_size: 192, intermediate_size: 200, head_dim: 64, attention_bias: false, mlp_bias: false };
  const wide = parseModelConfig({ ...json, ...sizes }, "config.json");
  const mapped = (image: WeightImage) => Object.keys(image.places).filter((name) => image.places[name]?.path);
  const loadMapped = (folder: string, weightDtypes = all) =>
    loadWeights(folder, wide, { weightDtypes, mapFiles: true });

  test("what is large, whole and of a dtype that the engine takes stays; everything else is read", async () => {
    const tensors = tensorsOf(wide, (name) => (name.includes("layers.1.mlp") ? "f16" : "bf16"));
    const folder = await single(tensors);
    const image = await loadMapped(folder, ["f32", "bf16"]);
    expect(mapped(image)).toEqual(["layers.0.o", "layers.0.gateUp", "layers.0.down", "layers.1.o"]);
    const bytes = await readFile(join(folder, "model.safetensors"));
    const { offset, byteLength, path } = image.places["layers.0.gateUp"] ?? {};
    expect(path).toBe(join(folder, "model.safetensors"));
    const parts = ["gate", "up"].map((part) => tensors.get(`model.layers.0.mlp.${part}_proj.weight`)?.bytes ?? []);
    expect(bytes.subarray(offset, offset + byteLength).equals(Buffer.concat(parts as Uint8Array[]))).toBe(true);
    const whole = await loadWeights(folder, wide, { weightDtypes: ["f32", "bf16"] });
    for (const name of mapped(image)) expect(() => weightOf(image, name)).toThrow("it was left in");
    for (const name of Object.keys(image.places).filter((read) => !mapped(image).includes(read))) {
      expect(weightOf(image, name)).toEqual(weightOf(whole, name));
    }
    expect(imageBytes(image)).toBe(imageBytes(whole));
    expect(image.bytes.byteLength).toBeLessThan(whole.bytes.byteLength);
  });

  test("a tensor that does not start on a whole number is read", async () => {
    const tensors = tensorsOf(wide, () => "bf16");
    const file = serializeSafetensors(tensors);
    // One byte more in front of all numbers, as no library writes it.
    const headerEnd = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, headerEnd)));
    for (const entry of Object.values<{ data_offsets: number[] }>(header)) {
      entry.data_offsets = entry.data_offsets.map((at) => at + 1);
    }
    header["odd"] = { dtype: "U8", shape: [1], data_offsets: [0, 1] };
    const headerText = Buffer.from(JSON.stringify(header).padEnd(headerEnd + 56));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(headerText.length));
    const odd = Buffer.concat([length, headerText, Uint8Array.of(1), file.subarray(headerEnd)]);
    const image = await loadMapped(await folderOf({ "model.safetensors": odd }));
    expect(mapped(image)).toEqual([]);
    expect(contentOf(image, wide)).toEqual(contentFrom(tensors, wide));
  });

  test("an engine that maps gets places, another one an error", async () => {
    const image = await loadMapped(await single(tensorsOf(wide, () => "f32")));
    const engine = createReferenceEngine();
    expect(() => createModel(engine, wide, image)).toThrow("Cannot read layers.0.o: it was left in");
    const asked: FileTensor[] = [];
    const recorded = (tensor: FileTensor) => {
      asked.push(tensor);
      return { rows: tensor.shape[0] ?? 0, columns: tensor.shape[1] ?? 1 };
    };
    createModel({ ...engine, mapped: recorded }, wide, image);
    expect(asked).toEqual(Object.values(image.places).filter(({ path }) => path !== undefined));
  });
});

const shared = fileURLToPath(new URL("../../../../../shared", import.meta.url));
const stories = join(shared, "data", "stories260K");
test.skipIf(!existsSync(stories))(
  "stories260K loads, tied and with GQA (skipped without shared/data/stories260K)",
  async () => {
    const model = await readModelConfig(stories);
    expect(model).toMatchObject({
      layers: 5,
      heads: 8,
      kvHeads: 4,
      headDim: 8,
      tiedEmbeddings: true,
      contextLength: 512,
    });
    const image = await loadWeights(stories, model, { weightDtypes: all });
    const { tensors } = parseSafetensors(await readFile(join(stories, "model.safetensors")), "x");
    expect(contentOf(image, model)).toEqual(contentFrom(tensors, model));
  },
);

const golden = join(shared, "golden");
test.skipIf(!existsSync(golden)).each(["llama_mha", "llama_gqa", "llama3_rope", "llama_bias", "mistral_gqa"])(
  "the golden base %s loads (skipped without shared/golden)",
  async (name) => {
    const folder = join(golden, name, "base");
    const model = await readModelConfig(folder);
    const image = await loadWeights(folder, model, { weightDtypes: all });
    const { tensors } = parseSafetensors(await readFile(join(folder, "model.safetensors")), "x");
    expect(contentOf(image, model)).toEqual(contentFrom(tensors, model));
  },
);
