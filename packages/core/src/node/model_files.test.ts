import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DType, FileTensor, WeightDType } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import { parseSafetensors, serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { createModel } from "../model/decoder.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { weightSources } from "../model/hf_names.ts";
import { imageBytes, type WeightImage, weightOf } from "../model/weights.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";
import { readRanges } from "./parallel_read.ts";
import { openSafetensors } from "./safetensors_file.ts";

let scratch: string;
let count = 0;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-model-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** Odd sizes on purpose: bf16 parts of odd length would show a place that is not aligned. */
const json = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 7,
  intermediate_size: 5,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 2,
  attention_bias: true,
  mlp_bias: true,
};
const config = parseModelConfig(json, "config.json");
const all: DType[] = ["f32", "bf16", "f16"];
const stored = { f32: "F32", bf16: "BF16", f16: "F16" } as const;

/** Every tensor of the model with numbers of its own, exact in each dtype. */
function tensorsOf(model: typeof config, dtypeOf: (name: string) => DType = () => "f32"): Map<string, Tensor> {
  const parts = weightSources(model).flatMap((source) => source.parts);
  return new Map(
    parts.map(({ hfName, shape }, p) => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((37 * p + i) % 251) / 4);
      return [hfName, { dtype: stored[dtypeOf(hfName)], shape, bytes: narrow(values, dtypeOf(hfName)) }];
    }),
  );
}

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
  if (dtype === "i8" || dtype === "f8") throw new Error("not quantised here");
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

async function problemsOf(work: Promise<unknown>): Promise<readonly string[]> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError ? error.problems : [`not refused: ${String(error)}`];
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

  test("a tied model has no head, also where the file carries one; an untied model needs it", async () => {
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

async function withIndex(index: string): Promise<readonly string[]> {
  return problemsOf(load(await folderOf({ "model.safetensors.index.json": index })));
}

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

test("a file that got shorter after its header was read is an InputError, and no read is left behind", async () => {
  const folder = await single(tensorsOf(config));
  const path = join(folder, "model.safetensors");
  const { size: bytes } = await stat(path);
  const file = await openSafetensors({ path, bytes });
  const steps: number[] = [];
  const whole = { file, begin: 0, end: bytes };
  const ranges = [whole, { ...whole, end: bytes + 1 }, whole, whole, ...Array.from({ length: 100 }, () => whole)];
  expect(await problemsOf(readRanges(ranges, (length) => steps.push(length)))).toEqual([
    `it ends at byte ${bytes}, it was longer when opened`,
  ]);
  await file.handle.close();
  expect(steps.length).toBeLessThan(100);
});

describe("what is refused", () => {
  test("every tensor that is missing, of another shape or of another dtype, before memory is taken", async () => {
    const tensors = tensorsOf(config);
    tensors.delete("model.layers.1.mlp.up_proj.weight");
    tensors.set("model.norm.weight", { dtype: "F32", shape: [8], bytes: new Uint8Array(32) });
    tensors.set("model.embed_tokens.weight", { dtype: "I8", shape: [11, 7], bytes: new Uint8Array(77) });
    const folder = await single(tensors);
    const file = join(folder, "model.safetensors");
    expect(await problemsOf(load(folder))).toEqual([
      `model.embed_tokens.weight in ${file} is I8 [11, 7], config.json needs F32, F16 or BF16 [11, 7]: use the files of one model`,
      "model.layers.1.mlp.up_proj.weight is in no weight file, needed is F32, F16 or BF16 [5, 7]: fetch the model again",
      `model.norm.weight in ${file} is F32 [8], config.json needs F32, F16 or BF16 [7]: use the files of one model`,
    ]);
  });

  test("a config that fits nothing gives twenty problems and a count", async () => {
    const folder = await single(new Map());
    const problems = await problemsOf(loadWeights(folder, { ...config, layers: 10_000 }, { weightDtypes: all }));
    expect(problems.length).toBe(21);
    expect(problems.at(-1)).toMatch(/^and \d+ more$/);
  });

  test("a weight file that was cut off", async () => {
    const bytes = serializeSafetensors(tensorsOf(config));
    for (const length of [0, 5, 8, 100, bytes.length - 1]) {
      const folder = await folderOf({ "model.safetensors": bytes.subarray(0, length) });
      expect(await problemsOf(load(folder))).toHaveLength(1);
    }
  });

  test("no weights, or weights as a pickle only", async () => {
    expect(await problemsOf(load(await folderOf({})))).toEqual([
      "there is neither model.safetensors nor model.safetensors.index.json: download the model again",
    ]);
    expect(await problemsOf(load(await folderOf({ "pytorch_model.bin": "x" })))).toEqual([
      "its weights are a pickle (pytorch_model.bin), which can run code and is not read: convert it to model.safetensors",
    ]);
    expect(await problemsOf(load(join(scratch, "nowhere")))).toHaveLength(1);
  });

  test.each(["../secret.safetensors", "/etc/hostname", "sub/a.safetensors", "..", "", "a\\b", "a\0b"])(
    "an index that names %j",
    async (name) => {
      await writeFile(join(scratch, "secret.safetensors"), serializeSafetensors(tensorsOf(config)));
      const weight_map = { "model.norm.weight": name };
      const folder = await folderOf({ "model.safetensors.index.json": JSON.stringify({ weight_map }) });
      expect(await problemsOf(load(folder))).toEqual([
        `${JSON.stringify(name)} is not the name of a file in this folder`,
      ]);
    },
  );

  test("an index without a map, with a map of something else, with shards that are not there", async () => {
    expect(await withIndex("{}")).toEqual(["it has no weight_map object"]);
    expect(await withIndex('{"weight_map":[]}')).toEqual(["it has no weight_map object"]);
    expect(await withIndex('{"weight_map":{"a":1,"b":"y.safetensors","c":"x.safetensors"}}')).toEqual([
      '"a" is in no file',
      'it names "x.safetensors", which is not there: fetch the missing shard',
      'it names "y.safetensors", which is not there: fetch the missing shard',
    ]);
    expect(await withIndex('{"weight_map":{"a":"x","a":"y"}}')).toEqual(['not valid JSON: Duplicate key "a" in JSON']);
  });

  test.skipIf(process.platform === "win32")(
    "a pipe in place of a file is refused, not waited for (skipped on Windows: no mkfifo)",
    async () => {
      const folder = await folderOf({});
      execFileSync("mkfifo", [join(folder, "model.safetensors")]);
      expect(await problemsOf(load(folder))).toEqual(["it is a pipe: needed is a regular file"]);
    },
  );

  test("a config.json that is missing, broken or not UTF-8", async () => {
    expect((await problemsOf(readModelConfig(join(scratch, "nowhere"))))[0]).toBe("there is no such folder");
    const without = await folderOf({});
    await rm(join(without, "config.json"));
    expect(await problemsOf(readModelConfig(without))).toEqual(["there is no such file"]);
    expect(await problemsOf(readModelConfig(await folderOf({ "config.json": "{" })))).toEqual([
      "it ends after 1 bytes in the middle: download or copy it again",
    ]);
    expect((await problemsOf(readModelConfig(await folderOf({ "config.json": "{a}" }))))[0]).toContain(
      "not valid JSON",
    );
    expect(
      await problemsOf(readModelConfig(await folderOf({ "config.json": Uint8Array.of(0x22, 0xff, 0x22) }))),
    ).toHaveLength(1);
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
