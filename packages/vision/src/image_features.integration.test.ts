import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReferenceEngine } from "@zerogate/core";
import { readTower } from "@zerogate/core/node";
import { createTower, preprocessImage, type Tower, towerFeatures, zeroImage } from "@zerogate/core/vision";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../core/test/shared.ts";
import { openCase } from "../../core/test/tower.ts";
import { picture } from "../test/pictures.ts";
import { type ImageFeatureOptions, imageFeatures } from "./image_features.ts";
import { readImage } from "./read_image.ts";

let scratch: string;
let tower: Tower;
const paths = ["a.png", "b.jpg", "more/c.webp", "same.png", "d.png"];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-features-"));
  await mkdir(join(scratch, "images/more"), { recursive: true });
  await picture(30, 20, 3, 1).png().toFile(join(scratch, "images/a.png"));
  await picture(12, 12, 3, 2).jpeg().toFile(join(scratch, "images/b.jpg"));
  await picture(9, 31, 3, 3).webp().toFile(join(scratch, "images/more/c.webp"));
  await picture(40, 40, 4, 4).png().toFile(join(scratch, "images/d.png"));
  await copyFile(join(scratch, "images/a.png"), join(scratch, "images/same.png"));
  tower = await openCase("clip d 12", createReferenceEngine());
});
afterAll(() => rm(scratch, { recursive: true }));

const square = { width: 12, height: 12 };
const half = [0.5, 0.5, 0.5] as const;
const preprocess = {
  resize: { shortestEdge: 12 },
  filter: "bicubic",
  crop: square,
  rescale: 1 / 255,
  normalize: { mean: half, std: half },
} as const;
const options = (): ImageFeatureOptions => ({
  root: join(scratch, "images"),
  preprocess,
  towerHash: "tower",
  features: ["cls@1", "pooled"],
});
const cacheDir = () => join(scratch, `cache-${Math.random()}`);

test("each image has its features, the same image twice is one row", async () => {
  const done: [number, number][] = [];
  const onProgress = (...step: [number, number]) => done.push(step);
  const { shape, values, rowOf, problems } = await imageFeatures(tower, paths, {
    ...options(),
    onProgress,
    batchSize: 3,
  });
  expect(shape).toEqual([4, 48]);
  expect(rowOf[3]).toBe(rowOf[0]);
  expect(new Set(rowOf)).toEqual(new Set([0, 1, 2, 3]));
  expect(problems).toEqual([]);
  expect(done).toEqual([
    [3, 4],
    [4, 4],
  ]);
  for (const [i, path] of paths.entries()) {
    const pixels = preprocessImage(await readImage(join(scratch, "images", path)), preprocess);
    const alone = await towerFeatures(tower, [pixels], { features: options().features });
    const row = rowOf[i] ?? -1;
    expect([...values.subarray(row * 48, (row + 1) * 48)], path).toEqual([...alone.values]);
  }
});

test("order, threads, batches and a cache that is warm or cold give the same numbers [V9, V11]", async () => {
  const cache = cacheDir();
  const first = await imageFeatures(tower, paths, { ...options(), cacheDir: cache, threads: 1 });
  const again = await imageFeatures(tower, paths, { ...options(), cacheDir: cache });
  expect([first.isCached, again.isCached]).toEqual([false, true]);
  expect({ ...again, isCached: false }).toEqual(first);
  expect(again.values.buffer).toBeInstanceOf(SharedArrayBuffer);
  const turned = await imageFeatures(tower, paths.toReversed(), { ...options(), threads: 3, batchSize: 1 });
  expect(turned.hash).toBe(first.hash);
  expect([...turned.rowOf]).toEqual([...first.rowOf].toReversed());
  const others = [{ exif: "ignore" }, { featureNorm: "none" }, { channelOrder: "bgr" }, { towerHash: "x" }] as const;
  for (const change of others) {
    const other = await imageFeatures(tower, paths, { ...options(), ...change, cacheDir: cache });
    expect(other.isCached, JSON.stringify(change)).toBe(false);
  }
  expect(await readdir(cache)).toHaveLength(5);
});

test("the image of zeros is the last row of the pack that has it, cold and warm, also if it is the only one [V9, V11]", async () => {
  const cache = cacheDir();
  const plain = await imageFeatures(tower, paths, { ...options(), cacheDir: cache });
  expect(plain.zeroRow).toBeUndefined();
  const zeros = await towerFeatures(tower, [zeroImage(tower.config)], { features: options().features });
  const ask = (of: readonly string[]) =>
    imageFeatures(tower, of, { ...options(), cacheDir: cache, withZeroImage: true, batchSize: 4 });
  for (const isCached of [false, true]) {
    const found = await ask(paths);
    expect(found).toMatchObject({ shape: [5, 48], zeroRow: 4, isCached });
    expect([...found.values]).toEqual([...plain.values, ...zeros.values]);
    expect([...found.rowOf]).toEqual([...plain.rowOf]);
    expect(found.hash).not.toBe(plain.hash);
    const alone = await ask([]);
    expect(alone).toMatchObject({ shape: [1, 48], zeroRow: 0, isCached });
    expect([...alone.values]).toEqual([...zeros.values]);
  }
});

test("a damaged or short pack is computed again, and said; writers beside each other leave one whole pack [V11]", async () => {
  const cache = cacheDir();
  const run = (warnings: string[]) =>
    imageFeatures(tower, paths, { ...options(), cacheDir: cache, onWarning: (text) => warnings.push(text) });
  const first = await run([]);
  const [name = ""] = await readdir(cache);
  const file = join(cache, name);
  const whole = await readFile(file);
  const changed = Buffer.from(whole);
  changed[whole.length - 40] = (changed[whole.length - 40] ?? 0) ^ 1;
  for (const spoil of [() => writeFile(file, changed), () => truncate(file, 100)]) {
    await spoil();
    const warnings: string[] = [];
    const { hash, isCached } = await run(warnings);
    expect([hash, isCached]).toEqual([first.hash, false]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^Cannot use .*: the features are computed again$/);
    expect(await readFile(file)).toEqual(whole);
  }
  await rm(file);
  const both = await Promise.all([run([]), run([])]);
  expect(both.map(({ hash }) => hash)).toEqual([first.hash, first.hash]);
  expect(await readdir(cache)).toEqual([name]);
});

test("images that cannot be used are named, cold and warm; the others have their features [V14]", async () => {
  await writeFile(join(scratch, "images/broken.png"), (await picture(20, 20).png().toBuffer()).subarray(0, 300));
  const cache = cacheDir();
  const list = ["a.png", "missing.png", "../out.png", "broken.png", "b.jpg"];
  const cold = await imageFeatures(tower, list, { ...options(), cacheDir: cache });
  const warm = await imageFeatures(tower, list, { ...options(), cacheDir: cache });
  expect([cold.isCached, warm.isCached]).toEqual([false, true]);
  for (const { shape, rowOf, problems } of [cold, warm]) {
    expect(shape).toEqual([2, 48]);
    expect([...rowOf].map((row) => row >= 0)).toEqual([true, false, false, false, true]);
    expect(problems.map(({ index }) => index)).toEqual([1, 2, 3]);
    const reasons = problems.map(({ reason }) => reason);
    expect(reasons[0]).toContain("there is no such file");
    expect(reasons[1]).toContain("leads out of the folder of images");
    expect(reasons[2]).toContain("Cannot read the image broken.png: this PNG is damaged or cut off");
  }
});

test("no images are no rows; features that are none and an abort end at once", async () => {
  expect((await imageFeatures(tower, [], options())).shape).toEqual([0, 48]);
  await expect(imageFeatures(tower, paths, { ...options(), features: ["cls@9"] })).rejects.toThrow(
    "hidden states are 0 to 3",
  );
  const abort = new AbortController();
  const running = imageFeatures(tower, paths, {
    ...options(),
    batchSize: 1,
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  await expect(running).rejects.toThrow("aborted");
});

const cifar = absent("data/vit-cifar10");
describe.skipIf(cifar !== "")(`vit-cifar10${cifar}`, () => {
  test("its logits, and 73.5 % of its 200 images right [V4]", async () => {
    const folder = sharedPath("data/vit-cifar10");
    const { config, image, preprocess: own, hash } = await readTower(folder);
    const vit = createTower(createReferenceEngine(), config, image);
    const names = (await readdir(join(folder, "eval"))).filter((name) => name.endsWith(".jpg")).toSorted();
    const settings = { root: join(folder, "eval"), preprocess: own, towerHash: hash };
    const found = await imageFeatures(vit, names, {
      ...settings,
      features: ["cls@-1"],
      featureNorm: "none",
      batchSize: 16,
    });
    const reference = JSON.parse(await readFile(join(folder, "reference.json"), "utf8")) as { logits: number[][] };
    const labels = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as {
      id2label: Record<string, string>;
    };
    const head = await classifier(folder);
    const logits = names.map((_, i) => head(found.values.subarray(48 * (found.rowOf[i] ?? 0)).subarray(0, 48)));
    for (const [i, expected] of reference.logits.entries()) {
      for (const [c, z] of expected.entries()) expect(Math.abs((logits[i]?.[c] ?? 0) - z)).toBeLessThan(1e-4);
    }
    const right = names.filter((name, i) => {
      const scores = logits[i] ?? [];
      return name.startsWith(`${labels.id2label[scores.indexOf(Math.max(...scores))]}_`);
    });
    expect(Math.abs((100 * right.length) / names.length - 73.5)).toBeLessThanOrEqual(0.5);
    expect(names).toHaveLength(200);
  });
});

/** The linear map behind the tower, which is no part of it. */
async function classifier(folder: string): Promise<(x: Float32Array) => number[]> {
  const { parseSafetensors } = await import("@zerogate/core/formats");
  const path = join(folder, "model.safetensors");
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(path)), path);
  const values = (name: string) => new Float32Array(tensors.get(name)?.bytes.slice().buffer ?? new ArrayBuffer(0));
  const [weight, bias] = [values("classifier.weight"), values("classifier.bias")];
  return (x) => Array.from(bias, (b, c) => x.reduce((sum, v, i) => sum + v * (weight[c * 48 + i] ?? 0), b));
}
