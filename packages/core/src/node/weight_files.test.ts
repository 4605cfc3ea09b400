import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { InputError } from "../errors.ts";
import { serializeSafetensors } from "../formats/safetensors.ts";
import { findWeightFiles, weightFileNames, withWeightFiles } from "./weight_files.ts";

const INDEX = "model.safetensors.index.json";
const shard = (...names: string[]) =>
  serializeSafetensors(
    new Map(names.map((name) => [name, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) } as const])),
  );

function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-weights-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}
const indexOf = (weight_map: unknown) => JSON.stringify({ weight_map });

async function problemsOf(folder: string): Promise<readonly string[]> {
  const error: unknown = await findWeightFiles(folder).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).problems;
}

test("one file wins over shards, and each tensor comes from the file that the index names", async () => {
  const files = { "b.safetensors": shard("x", "y"), "a.safetensors": shard("y", "z") };
  const map = { x: "b.safetensors", y: "a.safetensors", z: "a.safetensors" };
  const folder = folderOf({ ...files, [INDEX]: indexOf(map) });
  const found = await findWeightFiles(folder);
  expect([...found.files.keys()]).toEqual(["a.safetensors", "b.safetensors"]);
  expect(await weightFileNames(folder)).toEqual(new Set(["b.safetensors", "a.safetensors"]));
  const placed = await withWeightFiles(found, async (tensors) =>
    Object.fromEntries([...tensors].map(([name, { file }]) => [name, file.path.split("/").at(-1)])),
  );
  expect(placed).toEqual(map);

  writeFileSync(join(folder, "model.safetensors"), shard("w"));
  const single = await findWeightFiles(folder);
  expect([...single.files.keys()]).toEqual(["model.safetensors"]);
  expect(await weightFileNames(folder)).toEqual(new Set(["model.safetensors"]));
  expect(await withWeightFiles(single, async (tensors) => [...tensors.keys()])).toEqual(["w"]);
});

test("an index that is not one, or names missing files, is refused with all its problems", async () => {
  for (const index of [indexOf(3), indexOf(null), "[]", "{}"]) {
    const folder = folderOf({ [INDEX]: index });
    expect(await problemsOf(folder)).toEqual(["it has no weight_map object"]);
    expect(await weightFileNames(folder)).toBeUndefined();
  }
  const folder = folderOf({ [INDEX]: indexOf({ a: 3, b: "q.safetensors", c: "p.safetensors" }) });
  expect(await problemsOf(folder)).toEqual([
    '"a" is in no file',
    'it names "p.safetensors", which is not there: fetch the missing shard',
    'it names "q.safetensors", which is not there: fetch the missing shard',
  ]);
  expect(await weightFileNames(folder)).toEqual(new Set(["q.safetensors", "p.safetensors"]));
});

test("a folder without weights is named with what lies there instead", async () => {
  const neither = "there is neither model.safetensors nor pytorch_model.bin, nor an index of shards";
  expect(await problemsOf(folderOf({}))).toEqual([`${neither}: download the model again`]);
  expect(await weightFileNames(folderOf({}))).toBeUndefined();
  expect(await problemsOf(folderOf({ "consolidated.00.pth": "x", "a.safetensors": "" }))).toEqual([
    "consolidated.00.pth is read with Meta's params.json beside it and no config.json, or convert it to model.safetensors",
  ]);
  const three = { "c.GGUF": "", "a.safetensors": "", "b.gguf": "", "d.safetensors.txt": "" };
  const named = `"a.safetensors", "b.gguf", "c.GGUF"`;
  expect(await problemsOf(folderOf(three))).toEqual([`${neither} (but ${named}): download the model again`]);
  expect(await problemsOf(folderOf({ ...three, "e.gguf": "" }))).toEqual([
    `${neither} (but ${named}, …): download the model again`,
  ]);
});

test("files are closed if one of them cannot be opened", async () => {
  const folder = folderOf({ "a.safetensors": shard("a"), "b.safetensors": "x" });
  writeFileSync(join(folder, INDEX), indexOf({ a: "a.safetensors", b: "b.safetensors" }));
  const found = await findWeightFiles(folder);
  await expect(withWeightFiles(found, async () => "never")).rejects.toThrow(InputError);
  rmSync(join(folder, "b.safetensors"));
  mkdirSync(join(folder, "b.safetensors"));
  await expect(withWeightFiles(found, async () => "never")).rejects.toThrow(InputError);
});
