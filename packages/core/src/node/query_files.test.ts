/** Folders of adapters that see images by visual queries. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { tinyConfig } from "../../test/tiny_model.ts";
import { seeingQueries } from "../../test/visual_adapter.ts";
import { adaptionPromptConfig } from "../adapter/files/config.ts";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { loadAdapter, readAdapter, readModelConfig, type SavedAdapter, saveAdapter } from "../node.ts";
import { withSafetensors } from "./adapter_weights.ts";
import { namedFile } from "./file_source.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-query-files-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const model = tinyConfig();
const { layout, params } = seeingQueries(model, { missingImage: "zero-image" });
const adapter: SavedAdapter = {
  config: adaptionPromptConfig({ adapterLen: 3, adapterLayers: 2 }),
  layout,
  params,
  seen: {
    features: ["tokens.projected"],
    featureNorm: "none",
    severalImages: "concat",
    tower: {
      modelType: "clip_vision_model",
      hiddenSize: 3,
      layers: 2,
      imageSize: 32,
      patchSize: 8,
      channelOrder: "bgr",
      exif: "apply",
    },
  },
};

const tensorsIn = async (path: string) => withSafetensors(await namedFile(path), (stored) => stored.read());
const configIn = async (folder: string) =>
  JSON.parse(await readFile(join(folder, "vision_config.json"), "utf8")) as Record<string, unknown>;

let copies = 0;
async function folderWith(changes: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = join(scratch, `copy-${copies++}`);
  await saveAdapter(folder, adapter);
  await writeFile(join(folder, "vision_config.json"), JSON.stringify({ ...(await configIn(folder)), ...changes }));
  return folder;
}

test("its tensors have the released names, its config the sizes, and all come back [V6]", async () => {
  const folder = await folderWith();
  const tensors = await tensorsIn(join(folder, "vision.safetensors"));
  const block = [
    ["attn.proj.bias", 6],
    ["attn.proj.weight", 6, 6],
    ["attn.qkv.bias", 18],
    ["attn.qkv.weight", 18, 6],
    ["mlp.fc1.bias", 7],
    ["mlp.fc1.weight", 7, 6],
    ["mlp.fc2.bias", 6],
    ["mlp.fc2.weight", 6, 7],
    ["norm1.bias", 6],
    ["norm1.weight", 6],
    ["norm2.bias", 6],
    ["norm2.weight", 6],
  ].map(([name, ...shape]) => [`${name}`, ...shape]);
  const blocks = [0, 1].flatMap((b) => block.map(([name, ...shape]) => [`visual_blocks.${b}.${name}`, ...shape]));
  expect([...tensors].map(([name, { shape }]) => [name, ...shape])).toEqual([
    ["clip_proj.bias", 6],
    ["clip_proj.weight", 6, 5],
    ["clip_proj_norm.bias", 6],
    ["clip_proj_norm.weight", 6],
    ...blocks,
    ["visual_proj.bias", 12],
    ["visual_proj.weight", 12, 6],
    ["visual_proj_norm.bias", 12],
    ["visual_proj_norm.weight", 12],
    ["visual_query.weight", 3, 6],
  ]);
  expect(await configIn(folder)).toEqual({
    version: 1,
    fusion: "query",
    features: ["tokens.projected"],
    featureNorm: "none",
    featureSize: 5,
    embed: 6,
    blocks: 2,
    heads: 2,
    mlp: 7,
    blockEps: 1e-6,
    normEps: 1e-5,
    activation: "gelu_erf",
    missingImage: "zero-image",
    severalImages: "concat",
    adapterLen: 3,
    adapterLayers: 2,
    tower: adapter.seen?.tower,
  });
  const loaded = await loadAdapter(folder, model);
  expect(loaded).toMatchObject({ params, shape: { vision: layout.shape.vision }, warnings: [] });
  expect(loaded.seen).toMatchObject({ ...adapter.seen, shape: layout.shape.vision });
  expect(await readFile(join(folder, "README.md"), "utf8")).toContain(
    "tokens of 5 numbers, tokens.projected of a clip",
  );
});

test.each([
  [{ heads: 4 }, "embed 6 does not divide over 4 heads"],
  [{ blocks: 0 }, "blocks is 0, needed is an integer from 1 to 1024"],
  [{ blocks: 1e9 }, "blocks is 1000000000, needed is an integer from 1 to 1024"],
  [{ mlp: undefined }, "mlp is missing, needed is an integer from 1 to 65536"],
  [{ blockEps: 0 }, "blockEps is 0, needed is a number above 0"],
  [{ activation: "gelu_tanh" }, 'activation is "gelu_tanh", known are gelu_erf'],
  [{ missingImage: "zeros" }, 'missingImage is "zeros", known are none, zero-image'],
  [{ severalImages: "first" }, 'severalImages is "first", known are concat, mean'],
])("%j is refused by name", async (changes, problem) => {
  const folder = await folderWith(changes);
  await expect(loadAdapter(folder, model)).rejects.toThrow(
    `Cannot use ${join(folder, "vision_config.json")}: ${problem}`,
  );
});

test("a config that is not of these tensors is refused, each tensor by name", async () => {
  const folder = await folderWith({ blocks: 1, mlp: 8 });
  const said = await loadAdapter(folder, model).catch(String);
  for (const problem of [
    "visual_blocks.0.mlp.fc1.weight is F32 [7, 6], needed is F32, F16 or BF16 [8, 6]",
    "visual_blocks.1.norm1.weight",
  ]) {
    expect(said).toContain(problem);
  }
});

const reason = absent("golden/multimodal_query");

test.skipIf(reason !== "")(
  `an adapter of our reference in PyTorch loads with its transformer, and is written as it was [V6]${reason}`,
  async () => {
    const base = await readModelConfig(sharedPath("golden/llama_gqa/base"));
    const source = sharedPath("golden/multimodal_query/adapter");
    const loaded = await loadAdapter(source, base);
    expect(loaded.warnings).toEqual([]);
    expect(loaded.seen).toMatchObject({ severalImages: "concat", featureNorm: "none", features: ["tokens.projected"] });
    const values = await tensorsIn(sharedPath("golden/multimodal_query/tensors.safetensors"));
    for (const part of adapterLayout(loaded.shape, base).table) {
      if (part.layer !== undefined) continue;
      const { buffer } = partNumbers(part, loaded.params).slice();
      const expected = values.get(`params_full/${part.name}`)?.bytes ?? new Uint8Array();
      expect(Buffer.from(buffer).equals(expected), part.name).toBe(true);
    }
    const copy = join(scratch, "golden");
    await cp(source, copy, { recursive: true });
    await saveAdapter(copy, await readAdapter(copy));
    for (const name of ["adapter_model.safetensors", "vision.safetensors"]) {
      const [ours, theirs] = await Promise.all([copy, source].map((folder) => tensorsIn(join(folder, name))));
      expect(ours).toEqual(theirs);
    }
  },
);
