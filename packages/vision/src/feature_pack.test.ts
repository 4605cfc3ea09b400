import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  allocateFeatures,
  type FeatureInput,
  featureKey,
  packHash,
  readFeaturePack,
  writeFeaturePack,
} from "./feature_pack.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-packs-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const digest = (digit: string) => digit.repeat(64);
const key = digest("a");
const values = allocateFeatures(2, [3]);
values.set([1, -2, 3.5, 0, Number.MIN_VALUE, 7]);
const pack = { shape: [3], images: [digest("1"), digest("2")], bad: [[digest("3"), "why “not”"]] as const, values };
const fileOf = (name: string) => join(scratch, `features-${name}.pack`);

test("a pack comes back as it was written, in shared memory, and leaves no other file", async () => {
  expect(await readFeaturePack(join(scratch, "none"), key)).toBeUndefined();
  await writeFeaturePack(scratch, key, pack);
  const read = await readFeaturePack(scratch, key);
  expect(read).toEqual(pack);
  expect(read?.values.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(await readdir(scratch)).toEqual([`features-${key}.pack`]);
  const empty = { ...pack, images: [], values: allocateFeatures(0, [3]) };
  await writeFeaturePack(scratch, digest("e"), empty);
  expect(await readFeaturePack(scratch, digest("e"))).toEqual(empty);
});

test("every bit of a file counts, and its length; another key's file is refused [V11]", async () => {
  await writeFeaturePack(scratch, key, pack);
  const whole = await readFile(fileOf(key));
  for (let at = 0; at < whole.length; at += 5) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 4;
    await writeFile(fileOf(key), changed);
    await expect(readFeaturePack(scratch, key), `byte ${at}`).rejects.toThrow(`Cannot use ${fileOf(key)}: `);
  }
  for (const length of [0, 5, 12, 40, whole.length - 33, whole.length - 1]) {
    await writeFile(fileOf(key), whole);
    await truncate(fileOf(key), length);
    await expect(readFeaturePack(scratch, key), `${length} bytes`).rejects.toThrow("Cannot use");
  }
  await writeFile(fileOf(key), Buffer.concat([whole, Buffer.of(0)]));
  await expect(readFeaturePack(scratch, key)).rejects.toThrow("its header and its size differ");
  await writeFile(fileOf(key), whole);
  await rename(fileOf(key), fileOf(digest("b")));
  await expect(readFeaturePack(scratch, digest("b"))).rejects.toThrow("its header and its size differ");
});

const input: FeatureInput = {
  images: pack.images,
  towerHash: "t",
  features: ["cls@1", "pooled"],
  featureNorm: "layer",
  channelOrder: "rgb",
  exif: "apply",
  engineName: "cpu/avx2/f32",
};

test("everything that features depend on is in the key", () => {
  const changes: readonly Partial<FeatureInput>[] = [
    { images: [digest("1")] },
    { towerHash: "u" },
    { features: ["pooled", "cls@1"] },
    { featureNorm: "none" },
    { channelOrder: "bgr" },
    { exif: "ignore" },
    { engineName: "cpu/avx512/f32" },
  ];
  const keys = [input, ...changes.map((change) => ({ ...input, ...change }))].map(featureKey);
  expect(new Set(keys).size).toBe(changes.length + 1);
  expect(Object.keys(input)).toHaveLength(changes.length);
  expect(featureKey({ ...input })).toBe(keys[0]);
});

test("the hash of a pack follows its numbers and whose they are", () => {
  const other = values.slice();
  other[5] = 8;
  const hashes = [
    pack,
    { ...pack, values: other },
    { ...pack, images: pack.images.toReversed() },
    { ...pack, shape: [1, 3] },
  ];
  expect(new Set(hashes.map(packHash)).size).toBe(4);
  expect(packHash({ ...pack, bad: [] })).toBe(packHash(pack));
});
