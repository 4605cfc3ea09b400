/** Bases in files of torch: the numbers of safetensors, in place or put together, one file or shards. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { all, config, json, problemsOf, tensorsOf } from "../../test/folder_tensors.ts";
import type { FileTensor } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { createModel } from "../model/decoder.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import type { WeightImage } from "../model/weights.ts";
import { baseHash } from "./base_identity.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const base = fileURLToPath(new URL("../../test/torch_files/base/", import.meta.url));

function folderOf(files: Readonly<Record<string, string | Uint8Array>>, own: object = json): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-torch-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries({ "config.json": JSON.stringify(own), ...files }))
    writeFileSync(join(folder, name), content);
  return folder;
}
const load = async (folder: string, model = config) => loadWeights(folder, model, { weightDtypes: all });
const contentOf = ({ bytes, places }: WeightImage) => ({ bytes: new Uint8Array(bytes), places });

test("a base that torch wrote has the numbers of its safetensors, tied, fused, transposed and expanded [M-bin]", async () => {
  const safe = folderOf({ "model.safetensors": readFileSync(join(base, "../base.safetensors")) });
  copyFileSync(join(base, "config.json"), join(safe, "config.json"));
  const warnings: string[] = [];
  const model = await readModelConfig(base, { onWarning: (warning) => warnings.push(warning) });
  expect(warnings).toEqual([]);
  expect(model).toMatchObject({ layers: 2, tiedEmbeddings: false });
  for (const storage of ["as-is", "int8"] as const) {
    const options = { weightDtypes: [...all, "i8"], storage } as const;
    const [torch, plain] = [await loadWeights(base, model, options), await loadWeights(safe, model, options)];
    expect(contentOf(torch)).toEqual(contentOf(plain));
  }
});

test("tied embeddings of which the head shares the storage stay tied [M-bin]", async () => {
  const folder = folderOf({ "pytorch_model.bin": readFileSync(join(base, "pytorch_model.bin")) });
  const own = JSON.parse(readFileSync(join(base, "config.json"), "utf8")) as object;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...own, tie_word_embeddings: true }));
  expect((await readModelConfig(folder)).tiedEmbeddings).toBe(true);
});

describe("files of torch in a folder", () => {
  const tensors = tensorsOf(config, () => "bf16");

  test("one file, or the shards that an index names, have the numbers of safetensors [M-bin, M-bin-sharded]", async () => {
    const plain = contentOf(await load(folderOf({ "model.safetensors": serializeSafetensors(tensors) })));
    expect(contentOf(await load(folderOf({ "pytorch_model.bin": serializeTorchFile(tensors) })))).toEqual(plain);
    const names = [...tensors.keys()];
    const shard = (odd: number) => new Map([...tensors].filter((_, i) => i % 2 === odd));
    const decoy: Tensor = { dtype: "F32", shape: [7], bytes: new Uint8Array(28) };
    const file = (odd: number) => `pytorch_model-0000${odd + 1}-of-00002.bin`;
    const weight_map = Object.fromEntries(names.map((name, i) => [name, file(i % 2)]));
    const folder = folderOf({
      [file(0)]: serializeTorchFile(shard(0)),
      [file(1)]: serializeTorchFile(shard(1).set(names[0], decoy)),
      "pytorch_model.bin.index.json": JSON.stringify({ metadata: {}, weight_map }),
    });
    expect(contentOf(await load(folder))).toEqual(plain);
    expect(await readModelConfig(folder)).toEqual(config);
    rmSync(join(folder, file(1)));
    expect(await problemsOf(load(folder))).toEqual([
      'it names "pytorch_model-00002-of-00002.bin", which is not there: fetch the missing shard',
    ]);
  });

  test("safetensors win, in shards too; each folder has a hash of its own files [M-bin]", async () => {
    const other = new Map(
      [...tensors].map(([name, tensor]) => [name, { ...tensor, bytes: tensor.bytes.map((byte) => byte ^ 1) }]),
    );
    const bin = { "pytorch_model.bin": serializeTorchFile(other) };
    const safe = { "model.safetensors": serializeSafetensors(tensors) };
    const weight_map = Object.fromEntries([...tensors.keys()].map((name) => [name, "a.safetensors"]));
    const shards = {
      "a.safetensors": serializeSafetensors(tensors),
      "model.safetensors.index.json": JSON.stringify({ weight_map }),
    };
    const plain = contentOf(await load(folderOf(safe)));
    expect(contentOf(await load(folderOf({ ...bin, ...safe })))).toEqual(plain);
    expect(contentOf(await load(folderOf({ ...bin, ...shards })))).toEqual(plain);
    expect(contentOf(await load(folderOf(bin)))).not.toEqual(plain);
    expect(await baseHash(folderOf({ ...bin, ...safe }))).toBe(await baseHash(folderOf(safe)));
    expect(await baseHash(folderOf(bin))).not.toBe(
      await baseHash(folderOf({ "pytorch_model.bin": serializeTorchFile(tensors) })),
    );
  });

  test("what torch would not write, or may run code, is refused with the file's name [M-bin]", async () => {
    const problem = async (content: string | Uint8Array) =>
      load(folderOf({ "pytorch_model.bin": content })).then(String, (error: Error) => error.message);
    expect(await problem(readFileSync(new URL("../../test/torch_files/legacy.pth", import.meta.url)))).toMatch(
      /pytorch_model\.bin: it is a bare pickle, the format of torch before 1\.6/,
    );
    expect(await problem("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")).toContain(
      "a Git LFS pointer",
    );
    expect(await problem(serializeTorchFile(new Map()))).toContain("it holds no dict of tensors");
    const whole = serializeTorchFile(tensors);
    expect(await problem(whole.subarray(0, whole.length - 30))).toContain(
      "the file was cut off, or something was appended",
    );
  });
});

test("weights are left where they lie in a file of torch, and copied if they are put together [M-bin]", async () => {
  const size = { hidden_size: 64, vocab_size: 512, intermediate_size: 128, head_dim: 8, num_attention_heads: 8 };
  const own = { ...json, ...size, num_key_value_heads: 8, attention_bias: false, mlp_bias: false };
  const wide = parseModelConfig(own, "config.json");
  const folder = folderOf({ "pytorch_model.bin": serializeTorchFile(tensorsOf(wide)) }, own);
  const options = { weightDtypes: ["f32"], mapFiles: true } as const;
  const [mapped, copied] = [
    await loadWeights(folder, wide, options),
    await loadWeights(folder, wide, { weightDtypes: ["f32"] }),
  ];
  const embed = mapped.places["embed"];
  expect(embed.path).toBe(join(folder, "pytorch_model.bin"));
  const file = readFileSync(embed.path ?? "");
  const inFile = file.subarray(embed.offset, embed.offset + embed.byteLength);
  const place = copied.places["embed"];
  expect(inFile.equals(new Uint8Array(copied.bytes, place.offset, place.byteLength))).toBe(true);
  expect(mapped.bytes.byteLength).toBeLessThan(copied.bytes.byteLength);
  const engine = createReferenceEngine();
  const asked: FileTensor[] = [];
  const record = (tensor: FileTensor) => {
    asked.push(tensor);
    return { rows: tensor.shape[0] ?? 0, columns: tensor.shape[1] ?? 1 };
  };
  createModel({ ...engine, mapped: record }, wide, mapped);
  expect(asked.map(({ path }) => path)).toContain(join(folder, "pytorch_model.bin"));
});
