/** Adapters that see images on disk: what their files hold, what is refused, and what is left without them. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { tinyConfig } from "../../test/tiny_model.ts";
import { adaptionPromptConfig } from "../adapter/files/config.ts";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import { initParameters } from "../adapter/parameters.ts";
import { parseSafetensors, serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { normal } from "../random.ts";
import { adapterFiles, loadAdapter, readAdapter, type SavedAdapter, saveAdapter } from "./adapter_files.ts";
import { readModelConfig } from "./model_config.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-vision-files-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const model = tinyConfig();
const layout = adapterLayout(
  {
    promptLength: 2,
    adaptedLayers: 2,
    vision: { fusion: "global", featureSize: 6, projectionSize: 3, missingImage: "zeros" },
  },
  model,
);
const adapter: SavedAdapter = {
  config: adaptionPromptConfig({ adapterLen: 2, adapterLayers: 2 }),
  layout,
  params: Float32Array.from({ length: layout.length }, (_, i) => normal(3, i)),
  seen: {
    features: ["cls@1", "cls@-1"],
    featureNorm: "layer",
    severalImages: "mean",
    tower: {
      modelType: "clip_vision_model",
      hiddenSize: 3,
      layers: 2,
      imageSize: 32,
      patchSize: 8,
      sha256: "ab".repeat(32),
      nameOrPath: "openai/clip-vit-base-patch32",
      channelOrder: "bgr",
      exif: "ignore",
    },
  },
};

let copies = 0;
async function folderWith(change: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(scratch, `copy-${copies++}`);
  await saveAdapter(folder, adapter);
  await change(folder);
  return folder;
}

const messageOf = async (folder: string) => {
  const messages = await Promise.all(
    [loadAdapter(folder, model), readAdapter(folder)].map((work) =>
      work.then(
        () => "not refused",
        (error: Error) => error.message.replaceAll(folder, "DIR"),
      ),
    ),
  );
  expect(new Set(messages).size, "with the base and without it").toBe(1);
  return messages[0];
};

const tensorsIn = async (path: string) => parseSafetensors(await readFile(path), path).tensors;

const change = (edit: (json: Record<string, any>) => void) => async (folder: string) => {
  const path = join(folder, "vision_config.json");
  const json = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  edit(json);
  await writeFile(path, JSON.stringify(json));
};

const changeTensors = (edit: (tensors: Map<string, Tensor>) => void) => async (folder: string) => {
  const path = join(folder, "vision.safetensors");
  const tensors = new Map(await tensorsIn(path));
  edit(tensors);
  await writeFile(path, serializeSafetensors(tensors, { format: "pt" }));
};

test("the projection lies in a file of its own, and a config says what it was trained to see", async () => {
  const folder = await folderWith(async () => {});
  expect((await readdir(folder)).toSorted()).toEqual([
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "vision.safetensors",
    "vision_config.json",
  ]);
  const tensors = await tensorsIn(join(folder, "vision.safetensors"));
  expect([...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(", ")}]`)).toEqual([
    "proj.fc1.bias F32 [3]",
    "proj.fc1.weight F32 [3, 6]",
    `proj.fc2.bias F32 [${model.hiddenSize}]`,
    `proj.fc2.weight F32 [${model.hiddenSize}, 3]`,
  ]);
  expect(JSON.parse(await readFile(join(folder, "vision_config.json"), "utf8"))).toEqual({
    version: 1,
    fusion: "global",
    features: ["cls@1", "cls@-1"],
    featureNorm: "layer",
    featureSize: 6,
    projection: [6, 3, model.hiddenSize],
    activation: "gelu_tanh",
    missingImage: "zeros",
    severalImages: "mean",
    adapterLen: 2,
    adapterLayers: 2,
    tower: adapter.seen?.tower,
  });
});

test("PEFT's file is that of the text adapter, and the folder without the two others is the text adapter", async () => {
  const text = adapterLayout({ promptLength: 2, adaptedLayers: 2 }, model);
  const params = adapter.params.slice(0, text.length);
  const file = "adapter_model.safetensors";
  expect(adapterFiles(adapter).get(file)).toEqual(adapterFiles({ ...adapter, layout: text, params }).get(file));
  const folder = await folderWith(async (own) => {
    for (const name of ["vision.safetensors", "vision_config.json"]) await rm(join(own, name));
  });
  const loaded = await loadAdapter(folder, model);
  expect(loaded).toMatchObject({ params, seen: undefined, warnings: [] });
  expect(loaded.shape.vision).toBeUndefined();
});

test("a text adapter saved over one that sees leaves nothing of it", async () => {
  const folder = await folderWith(async () => {});
  const text = adapterLayout({ promptLength: 2, adaptedLayers: 2 }, model);
  await saveAdapter(folder, { ...adapter, layout: text, params: initParameters(text.table, 1), seen: undefined });
  expect((await readdir(folder)).filter((name) => name.startsWith("vision"))).toEqual([]);
});

test("one without the other of the two files is refused, so are halves of the projection", async () => {
  expect(await messageOf(await folderWith((folder) => rm(join(folder, "vision.safetensors"))))).toBe(
    "Cannot load the adapter in DIR: vision_config.json is there, vision.safetensors is missing: put it beside the other, or take both away to use the text adapter alone",
  );
  expect(await messageOf(await folderWith((folder) => rm(join(folder, "vision_config.json"))))).toBe(
    "Cannot load the adapter in DIR: vision.safetensors is there, vision_config.json is missing: put it beside the other, or take both away to use the text adapter alone",
  );
  const halved = changeTensors((tensors) => {
    tensors.delete("proj.fc2.bias");
    tensors.set("proj.fc1.bias", { dtype: "F32", shape: [2], bytes: new Uint8Array(8) });
    tensors.set("proj.fc3.bias", { dtype: "F32", shape: [2], bytes: new Uint8Array(8) });
  });
  expect((await messageOf(await folderWith(halved)))?.split("\n")).toEqual([
    "Cannot use DIR/vision.safetensors:",
    "  - proj.fc1.bias is F32 [2], needed is F32, F16 or BF16 [3]",
    "  - proj.fc2.bias is missing",
    '  - "proj.fc3.bias" is not part of this adapter',
  ]);
  const infinite = changeTensors((tensors) => {
    tensors.set("proj.fc1.bias", {
      dtype: "F32",
      shape: [3],
      bytes: new Uint8Array(Float32Array.of(0, Number.NaN, Infinity).buffer),
    });
  });
  expect(await messageOf(await folderWith(infinite))).toBe(
    "Cannot use the adapter DIR/vision.safetensors: proj.fc1.bias holds 2 numbers that are not finite",
  );
});

test.each<[string, (json: Record<string, any>) => void, string]>([
  [
    "a later version",
    (json) => (json["version"] = 2),
    "its version is 2, this program reads 1: use the one that wrote it",
  ],
  ["another fusion", (json) => (json["fusion"] = "gated-ffn"), 'its fusion is "gated-ffn", known are global and query'],
  ["no features", (json) => (json["features"] = []), "features is [], needed is a list of names"],
  [
    "a projection of other features",
    (json) => (json["projection"] = [7, 3, 8]),
    "projection is [7,3,8], needed is [featureSize, units, hidden size of the base]",
  ],
  ["another activation", (json) => (json["activation"] = "relu"), 'activation is "relu", known are gelu_tanh'],
  ["a broken hash", (json) => (json["tower"].sha256 = "AB"), 'tower.sha256 is "AB", needed are 64 hexadecimal digits'],
  ["no tower", (json) => delete json["tower"].modelType, "tower.modelType is missing, a text is needed"],
])("%s is refused by name", async (_, edit, problem) => {
  expect(await messageOf(await folderWith(change(edit)))).toBe(`Cannot use DIR/vision_config.json: ${problem}`);
});

test("a config that is not of these prompts is refused", async () => {
  const other = change((json) => {
    json["adapterLen"] = 3;
    json["projection"] = [6, 3, model.hiddenSize + 1];
  });
  expect((await messageOf(await folderWith(other)))?.split("\n")).toEqual([
    "Cannot use the adapter DIR:",
    "  - vision_config.json is for 3 prompts a layer, its tensors have 2",
    `  - vision_config.json is for ${model.hiddenSize + 1} numbers a prompt, its tensors have ${model.hiddenSize}`,
  ]);
});

test("keys without a meaning are named, those that another program left out have their defaults", async () => {
  const folder = await folderWith(
    change((json) => {
      json["later"] = 1;
      json["tower"].colour = "x";
      for (const key of ["sha256", "nameOrPath", "channelOrder", "exif"]) delete json["tower"][key];
      for (const key of ["featureNorm", "missingImage", "severalImages", "activation"]) delete json[key];
    }),
  );
  const { warnings, shape, seen } = await loadAdapter(folder, model);
  expect(warnings.map((warning) => warning.replaceAll(folder, "DIR"))).toEqual([
    "DIR/vision_config.json: 2 keys have no meaning here and are not used: later, tower.colour",
  ]);
  expect(shape.vision?.missingImage).toBe("none");
  expect(seen).toMatchObject({ featureNorm: "layer", tower: { channelOrder: "rgb", exif: "apply" } });
});

test("the model card names the tower, by its page on the Hub only if it has one there", async () => {
  const card = String(adapterFiles(adapter).get("README.md"));
  expect(card).toContain(
    "6 numbers an image, cls@1, cls@-1 of a clip_vision_model tower of 2 layers of width 3, 32 pixels in patches of 8, [openai/clip-vit-base-patch32](https://huggingface.co/openai/clip-vit-base-patch32), SHA-256 of its weights and settings abab",
  );
  const { seen } = adapter;
  const local = seen && { ...seen, tower: { ...seen.tower, nameOrPath: "/home/me/private tower" } };
  const other = String(adapterFiles({ ...adapter, seen: local }).get("README.md"));
  expect(other).toContain("in patches of 8, a folder of the machine that it was trained on, SHA-256");
  expect(other).not.toContain("private");
});

test("an adapter that sees is not saved without what it sees", () => {
  expect(() => adapterFiles({ ...adapter, seen: undefined })).toThrow(
    "Cannot save the adapter: it has images, and what they become (seen) is not given",
  );
});

const reason = absent("golden/multimodal_global");

test.skipIf(reason !== "")(
  `an adapter of our reference in PyTorch loads with its projection [V10]${reason}`,
  async () => {
    const base = await readModelConfig(sharedPath("golden/llama_gqa/base"));
    const source = sharedPath("golden/multimodal_global/adapter");
    const { params, shape, seen, warnings } = await loadAdapter(source, base);
    expect(warnings).toEqual([]);
    expect(shape).toMatchObject({ promptLength: 5, adaptedLayers: 2, vision: { featureSize: 96, projectionSize: 12 } });
    expect(seen).toMatchObject({ features: ["cls@1", "cls@2", "cls@3"], tower: { modelType: "clip_vision_model" } });
    const values = await tensorsIn(sharedPath("golden/multimodal_global/tensors.safetensors"));
    const expected = values.get("params_full/proj.fc1.weight")?.bytes ?? new Uint8Array();
    const part = adapterLayout(shape, base).table.find(({ name }) => name === "proj.fc1.weight");
    const { offset = 0 } = part ?? {};
    expect(Buffer.from(params.slice(offset, offset + 96 * 12).buffer).equals(expected)).toBe(true);
    const copy = join(scratch, "golden");
    await cp(source, copy, { recursive: true });
    const again = await readAdapter(copy);
    await saveAdapter(copy, again);
    for (const name of ["adapter_model.safetensors", "vision.safetensors"]) {
      const [ours, theirs] = await Promise.all([copy, source].map((folder) => tensorsIn(join(folder, name))));
      expect(ours).toEqual(theirs);
    }
  },
);
