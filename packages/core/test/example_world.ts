/** What stands before an example of core's docstrings: values by name, and a folder with files. */
import { mkdirSync, writeFileSync } from "node:fs";
import { AdaptionPromptModel, convertGates, packCell } from "../src/index.ts";
import { saveAdapter, saveAdapters, writeAdapterFile } from "../src/node.ts";
import { defaultPreprocessor, parseTowerConfig } from "../src/vision.ts";
import { fileOf, noiseTensors } from "./noise_tower.ts";
import { writeTinyModel } from "./tiny_files.ts";
import { adapterConfig, tinyAdapter, tinyModel, tinyTokens } from "./tiny_model.ts";

const { config, image, model } = tinyModel({ layers: 32, eosTokenIds: [] });
const adapter = { ...tinyAdapter(config), config: adapterConfig() };
const tokens = tinyTokens(config, [5, 7, 4]);

const clip = {
  model_type: "clip_vision_model",
  hidden_act: "quick_gelu",
  hidden_size: 24,
  image_size: 12,
  intermediate_size: 40,
  layer_norm_eps: 1e-5,
  num_attention_heads: 2,
  num_hidden_layers: 12,
  patch_size: 4,
};

/** Each with its type, which is public. */
export const given: Readonly<Record<string, readonly [type: string, value: unknown]>> = {
  config: ["ModelConfig", config],
  engine: ["Engine", model.engine],
  image: ["WeightImage", image],
  model: ["DecoderModel", model],
  adapter: ["Adapter", adapter],
  other: ["AdapterState", tinyAdapter(config, {}, { seed: 6 })],
  cell: ["Cell", packCell(tokens, [0, 1])],
  otherCell: ["Cell", packCell(tokens, [2])],
  gradient: ["Float32Array", new Float32Array(adapter.params.length).fill(0.5)],
  schedule: ["LearningRateSchedule", { kind: "cosine", peak: 0.01, warmupSteps: 2, steps: 10, floor: 0 }],
  promptIds: ["number[]", [1, 15, 8]],
  tokenizer: ["Decoder", { openDecoding: () => ({ push: (id: number) => ` ${id}`, end: () => "" }) }],
  towerConfig: ["TowerConfig", parseTowerConfig({ ...clip, hidden_size: 768 }, "config.json")],
  photo: ["RgbImage", { width: 5, height: 4, data: new Uint8Array(60).fill(7) }],
  settings: ["PreprocessSettings", defaultPreprocessor("clip", 224)],
};

/** Writes the models and adapters that examples read into the current folder. */
export async function writeExampleFiles(): Promise<void> {
  for (const path of ["models/base", "models/clip", "runs/first"]) mkdirSync(path, { recursive: true });
  writeTinyModel("models/base", config, image);
  writeFileSync("models/clip/config.json", JSON.stringify(clip));
  const tensors = noiseTensors(parseTowerConfig(clip, "config.json"));
  writeFileSync(
    "models/clip/model.safetensors",
    fileOf(tensors, (name) => name),
  );
  await saveAdapter("runs/first/adapter", adapter);
  const several = new AdaptionPromptModel(model);
  for (const name of ["default", "poems"]) several.addAdapter(name, { ...adapter, shape: adapter.layout.shape });
  await saveAdapters("adapters", several);
  const { state } = convertGates(adapter, { gateSharing: "per-head", gateActivation: "none" });
  await writeAdapterFile("lit_model.pth.adapter", state, "litgpt");
  await writeAdapterFile("llama_adapter_len10_layer30_release.pth", state, "original");
}
