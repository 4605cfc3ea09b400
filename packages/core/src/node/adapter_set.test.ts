import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyModel } from "../../test/tiny_model.ts";
import { adaptionPromptConfig } from "../adapter/files/config.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import { AdaptionPromptModel } from "../adapter/model.ts";
import { InputError } from "../errors.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { loadAdapter, readAdapter } from "./adapter_files.ts";
import { listAdapters, loadAdapters, saveAdapters } from "./adapter_set.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-adapters-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const { model: base, config } = tinyModel();

/** Adapters of these names, each with numbers, lengths and layers of its own. */
function modelWith(...names: string[]): AdaptionPromptModel {
  const model = new AdaptionPromptModel(base);
  for (const [i, name] of names.entries()) {
    const shape = adaptionPromptConfig({ adapterLen: 2 + i, adapterLayers: 1 + (i % 2), taskType: "CAUSAL_LM" });
    const { params, layout } = model.addAdapter(name, shape, { seed: i });
    for (const { gate } of layerParts(layout)) params[gate.offset] = 0.5 + i;
  }
  return model;
}

const names = ["default", "3", "self", "model", "é x"];

test("adapters named 3, self, model and default are saved apart and come back, whichever is active [D4]", async () => {
  const folder = join(scratch, "set");
  const model = modelWith(...names);
  model.setAdapter("self");
  await saveAdapters(folder, model);
  expect((await readdir(folder)).toSorted()).toEqual(
    ["3", "README.md", "adapter_config.json", "adapter_model.safetensors", "model", "self", "é x"].toSorted(),
  );
  expect(await listAdapters(folder)).toEqual(["default", "3", "model", "self", "é x"]);
  const loaded = await loadAdapters(folder, config);
  for (const name of names) {
    const { params, config: saved } = model.adapter(name);
    expect(loaded.get(name)).toMatchObject({ params, config: { ...saved, inferenceMode: true } });
  }
});

test("selected adapters only, the others' folders are not touched [P6, P13]", async () => {
  const folder = join(scratch, "selected");
  await saveAdapters(folder, modelWith(...names), { selectedAdapters: ["model", "3"], dtype: "bf16" });
  expect((await readdir(folder)).toSorted()).toEqual(["3", "model"]);
  expect([...(await loadAdapters(folder, config, { selectedAdapters: ["3"] })).keys()]).toEqual(["3"]);
  await expect(loadAdapters(folder, config, { selectedAdapters: ["default"] })).rejects.toThrow(
    '"default" is not there; adapters in it: "3", "model"',
  );
});

test("names that are no folder, unknown names and a file in the way are refused before anything is written", async () => {
  const folder = join(scratch, "refused");
  for (const name of [
    "../up",
    "a/b",
    "a\\b",
    "..",
    "adapter_config.json",
    "README.md",
    "nul\0",
    "half \ud83e",
    "é".repeat(128),
  ]) {
    await expect(saveAdapters(folder, modelWith("default", name))).rejects.toThrow("cannot name a folder");
  }
  await expect(saveAdapters(folder, modelWith("a"), { selectedAdapters: ["b"] })).rejects.toThrow(
    'Cannot find adapter "b"',
  );
  expect(await readdir(scratch)).not.toContain("refused");
  await writeFile(folder, "mine");
  await expect(saveAdapters(folder, modelWith("a"))).rejects.toThrow("it is a file, needed is a folder");
  expect(await readFile(folder, "utf8")).toBe("mine");
  await mkdir(join(scratch, "empty"));
  await expect(loadAdapters(join(scratch, "empty"), config)).rejects.toThrow("it is empty; adapters in it: none");
  await expect(loadAdapters(join(scratch, "nowhere"), config)).rejects.toThrow(InputError);
});

test("an adapter is read without its base, and says so if its config and its tensors differ", async () => {
  const folder = join(scratch, "alone");
  const model = modelWith("default");
  await saveAdapters(folder, model);
  const { layout, params, dtype } = await readAdapter(folder, config.heads);
  expect({ layout, params, dtype }).toEqual({ ...model.adapter("default"), config: undefined, dtype: "f32" });
  const text = await readFile(join(folder, "adapter_config.json"), "utf8");
  await writeFile(join(folder, "adapter_config.json"), text.replace('"adapter_len": 2', '"adapter_len": 4'));
  await expect(readAdapter(folder)).rejects.toThrow(
    "adapter_config.json says 1 layers of 4 prompts, its tensors are 1 of 2",
  );
});

test("weights in adapter_model.bin are read if there is no safetensors, which wins if there is [P4, A4]", async () => {
  const folder = join(scratch, "bin");
  const model = modelWith("default");
  await saveAdapters(folder, model);
  const path = join(folder, "adapter_model.safetensors");
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(path)), path);
  await writeFile(join(folder, "adapter_model.bin"), "not looked at");
  expect((await loadAdapter(folder, config)).params).toEqual(model.adapter("default").params);
  await rm(path);
  await writeFile(join(folder, "adapter_model.bin"), serializeTorchFile(tensors));
  const { params, report } = await loadAdapter(folder, config);
  expect(params).toEqual(model.adapter("default").params);
  expect(report).toMatchObject({ missing: [], unexpected: [], misShaped: [] });
  expect(report.matched).toHaveLength(2);
});

test("missing and surplus tensors load with strict false only, and the report names them [D5]", async () => {
  const folder = join(scratch, "loose");
  await saveAdapters(folder, modelWith("default"));
  const larger = { ...config, layers: config.layers + 1 };
  await expect(loadAdapter(folder, larger)).rejects.toThrow("use the base that the adapter was trained on");
  const { report, params } = await loadAdapter(folder, larger, { strict: false });
  expect([report.matched, report.missing.length, report.unexpected.length]).toEqual([[], 2, 2]);
  expect(params.every((value) => value === 0)).toBe(true);
  await cp(folder, join(scratch, "shape"), { recursive: true });
  const json = await readFile(join(folder, "adapter_config.json"), "utf8");
  await writeFile(join(scratch, "shape", "adapter_config.json"), json.replace('"adapter_len": 2', '"adapter_len": 3'));
  await expect(loadAdapter(join(scratch, "shape"), config, { strict: false })).rejects.toThrow(
    "needed is F32, F16 or BF16",
  );
});
