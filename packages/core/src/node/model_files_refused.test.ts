/** Weight files that are refused, and what is said of them. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { all, config, json, problemsOf, tensorsOf } from "../../test/folder_tensors.ts";
import type { DType } from "../engine/engine.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
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

async function withIndex(index: string): Promise<readonly string[]> {
  return problemsOf(load(await folderOf({ "model.safetensors.index.json": index })));
}

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

  test("no weights, or something else in their place", async () => {
    expect(await problemsOf(load(await folderOf({})))).toEqual([
      "there is neither model.safetensors nor pytorch_model.bin, nor an index of shards: download the model again",
    ]);
    expect(await problemsOf(load(await folderOf({ "pytorch_model.bin": "x" })))).toEqual([
      'it is text that begins with "x": is this the file that was meant',
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
