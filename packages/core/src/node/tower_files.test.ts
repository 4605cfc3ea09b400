import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileOf, noiseNumbers, noiseTensors } from "../../test/noise_tower.ts";
import { distance, floats, towerCases, towerPixels } from "../../test/tower.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import type { Tensor } from "../formats/safetensors.ts";
import { parseTowerConfig } from "../vision/tower/config.ts";
import { createTower } from "../vision/tower/tower.ts";
import { towerFeatures } from "../vision/tower/tower_features.ts";
import { type ReadTowerOptions, readTower } from "./tower_files.ts";

let scratch: string;
let count = 0;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-towers-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const preprocessor = { size: { height: 12, width: 12 }, crop_size: 12, do_center_crop: true };
const clip = towerCases["clip d 12"] ?? { config: {}, names: [], values: {} };
const vit = towerCases["vit d 5"] ?? { config: {}, names: [], values: {} };
const siglip = towerCases["siglip d 12"] ?? { config: {}, names: [], values: {} };
const tensorsOf = (config: object) => noiseTensors(parseTowerConfig(config, "x"));

interface Parts {
  readonly config: object;
  readonly tensors?: ReadonlyMap<string, Tensor>;
  readonly rename?: (name: string) => string;
  readonly preprocessor?: object | undefined;
}
async function folderOf({ config, rename = (name) => name, ...parts }: Parts): Promise<string> {
  const folder = join(scratch, String(count++));
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const { tensors = tensorsOf(config) } = parts;
  await writeFile(join(folder, "model.safetensors"), fileOf(tensors, rename));
  const images = "preprocessor" in parts ? parts.preprocessor : preprocessor;
  if (images) await writeFile(join(folder, "preprocessor_config.json"), JSON.stringify(images));
  return folder;
}

async function warningsOf(folder: string, options: ReadTowerOptions = {}): Promise<string[]> {
  const warnings: string[] = [];
  await readTower(folder, { ...options, onWarning: (message) => warnings.push(message.replaceAll(folder, "DIR")) });
  return warnings;
}
async function problemsOf(folder: string, options: ReadTowerOptions = {}): Promise<readonly string[]> {
  const error = await readTower(folder, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError
    ? error.problems.map((problem) => problem.replaceAll(folder, "DIR"))
    : [`not refused: ${String(error)}`];
}
async function expectValues(folder: string, values: Readonly<Record<string, string>>, limit = 1e-5): Promise<void> {
  const { config, image } = await readTower(folder);
  const tower = createTower(createReferenceEngine(), config, image);
  for (const [feature, expected] of Object.entries(values)) {
    const found = await towerFeatures(tower, towerPixels, { features: [feature], featureNorm: "none" });
    expect(distance(found.values, floats(expected)), feature).toBeLessThan(limit);
  }
}

const extra = (name: string): [string, Tensor] => [name, { dtype: "F32", shape: [2], bytes: new Uint8Array(8) }];
const texts = ["text_model.embeddings.token_embedding.weight", "text_projection.weight", "logit_scale"].map(extra);

test("a tower is found in a whole CLIP, in a LLaVA and behind other prefixes; other parts are not read [V3]", async () => {
  const inside = (name: string) => (name.startsWith("visual_projection") ? name : `vision_model.${name}`);
  const whole = new Map([...[...tensorsOf(clip.config)].map(([name, t]) => [inside(name), t] as const), ...texts]);
  const config = { model_type: "clip", projection_dim: 16, text_config: {}, vision_config: clip.config };
  const folder = await folderOf({ config, tensors: whole });
  await expectValues(folder, clip.values);
  expect(await warningsOf(folder)).toEqual([
    "3 tensors in DIR are of other parts than the tower and are not read: logit_scale, text_model.embeddings.token_embedding.weight, text_projection.weight",
  ]);

  const seen = new Map([...tensorsOf(clip.config)].filter(([name]) => !name.startsWith("visual_projection")));
  const llava = { model_type: "llava", vision_config: { ...clip.config, model_type: undefined } };
  const rename = (name: string) => `model.vision_tower.vision_model.${name}`;
  const inLlava = await folderOf({ config: llava, tensors: seen, rename });
  const { embeds: _, ...states } = clip.values;
  await expectValues(inLlava, states);
  expect(await warningsOf(inLlava)).toEqual([
    "DIR has no visual_projection: embeds and tokens.projected cannot be taken from it",
  ]);
  await expectValues(await folderOf({ config: vit.config, rename: (name) => `vit.${name}` }), vit.values);
  const siglips = { config: { model_type: "siglip", vision_config: siglip.config }, tensors: tensorsOf(siglip.config) };
  await expectValues(await folderOf({ ...siglips, rename: (name) => `vision_model.${name}` }), siglip.values);
});

test.each(["bf16", "f16"] as const)("weights in %s are widened exactly", async (dtype) => {
  const stored = [...tensorsOf(vit.config)].map(([name, { shape, bytes }]): [string, Tensor] => {
    return [
      name,
      { dtype: dtype === "bf16" ? "BF16" : "F16", shape, bytes: narrow(new Float32Array(bytes.slice().buffer), dtype) },
    ];
  });
  const wide = stored.map(([name, { shape, bytes }]): [string, Tensor] => {
    const values = new Float32Array(bytes.length / 2);
    widen(dtype, bytes, values);
    return [name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) }];
  });
  const [narrowed, widened] = await Promise.all(
    [stored, wide].map(async (tensors) => readTower(await folderOf({ config: vit.config, tensors: new Map(tensors) }))),
  );
  expect(new Uint8Array(narrowed?.image.bytes ?? [])).toEqual(new Uint8Array(widened?.image.bytes ?? []));
});

test("tensors that are missing, of another shape or over are named", async () => {
  const tensors = tensorsOf(vit.config);
  tensors.delete("encoder.layer.1.output.dense.bias");
  tensors.set("embeddings.position_embeddings", { dtype: "F32", shape: [1, 17, 15], bytes: new Uint8Array(4 * 255) });
  expect(await problemsOf(await folderOf({ config: vit.config, tensors }))).toEqual([
    "embeddings.position_embeddings in DIR/model.safetensors is F32 [1, 17, 15], config.json needs F32, F16 or BF16 [10, 15]: positions are not interpolated, use the files of one model",
    "encoder.layer.1.output.dense.bias is in no weight file, needed is F32, F16 or BF16 [15]: fetch the tower again",
  ]);
  const over = new Map([...tensorsOf(vit.config), extra("pooler.dense.bias"), extra("embeddings.position_ids")]);
  const folder = await folderOf({ config: vit.config, tensors: over });
  expect(await warningsOf(folder)).toEqual([
    "1 tensors in DIR are not part of this vit tower and have no influence on what it computes: pooler.dense.bias",
  ]);
  expect(await problemsOf(folder, { strictTensors: true })).toEqual([
    "1 tensors in DIR are not part of this vit tower: pooler.dense.bias: take them out of the files",
  ]);
  const [probe = ""] = [...tensorsOf(siglip.config).keys()].filter((name) => name.startsWith("head."));
  const headless = new Map([...tensorsOf(siglip.config)].filter(([name]) => !name.startsWith("head.")));
  expect(probe).toBe("head.probe");
  expect(await warningsOf(await folderOf({ config: siglip.config, tensors: headless }))).toEqual([
    "DIR has no pooling head: pooled cannot be taken from it",
  ]);
});

test("a folder without a tower, or with two of them, is refused", async () => {
  const tensors = tensorsOf(vit.config);
  expect(await problemsOf(await folderOf({ config: clip.config, tensors }))).toEqual([
    "no tensor's name ends with embeddings.patch_embedding.weight: this is not a clip tower",
  ]);
  const twice = new Map([...tensors].flatMap(([name, t]) => [[`a.${name}`, t] as const, [`b.${name}`, t] as const]));
  expect((await problemsOf(await folderOf({ config: vit.config, tensors: twice })))[0]).toMatch(
    /^there are two towers/,
  );
});

test("a preprocessor must make the tower's images; one that is missing is said", async () => {
  const refused = async (settings: object) =>
    (await problemsOf(await folderOf({ config: vit.config, preprocessor: settings })))[0];
  expect(await refused({ size: 24 })).toBe(
    "it makes images of 24 × 24 pixels, the tower takes 12 × 12: its positions are not interpolated",
  );
  expect(await refused({ size: { shortest_edge: 12 } })).toBe(
    "it makes images of pixels of any shape, as there is no crop, the tower takes 12 × 12: its positions are not interpolated",
  );
  const folder = await folderOf({ config: vit.config, preprocessor: undefined });
  expect(await warningsOf(folder)).toEqual([
    "DIR/preprocessor_config.json is missing: images are prepared as vit towers of 12 × 12 pixels take them",
  ]);
  expect((await readTower(folder)).preprocess.filter).toBe("bilinear");
});

test("the hash follows weights, config and preprocessor, not the place", async () => {
  const folder = await folderOf({ config: vit.config });
  const { hash } = await readTower(folder);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  const copy = join(scratch, "copy");
  await cp(folder, copy, { recursive: true });
  expect((await readTower(copy)).hash).toBe(hash);
  await writeFile(join(copy, "preprocessor_config.json"), JSON.stringify({ ...preprocessor, resample: 3 }));
  expect((await readTower(copy)).hash).not.toBe(hash);
  await cp(join(folder, "preprocessor_config.json"), join(copy, "preprocessor_config.json"));
  const weights = await readFile(join(copy, "model.safetensors"));
  weights[weights.length - 1] = (weights.at(-1) ?? 0) ^ 1;
  await writeFile(join(copy, "model.safetensors"), weights);
  expect((await readTower(copy)).hash).not.toBe(hash);
});

test("the block of weights is made by who loads", async () => {
  const allocate = (bytes: number) => new SharedArrayBuffer(bytes);
  const { image } = await readTower(await folderOf({ config: vit.config }), { allocate });
  expect(image.bytes).toBeInstanceOf(SharedArrayBuffer);
  const tower = createTower(createReferenceEngine(), parseTowerConfig(vit.config, "x"), image);
  const pixels = noiseNumbers("any", 3 * 144);
  expect((await towerFeatures(tower, [pixels], { features: ["cls@1"] })).shape).toEqual([1, 15]);
});
