/** An adapter folder as PEFT writes and reads it: `adapter_model.safetensors`, `adapter_config.json`, `README.md`. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type AdaptionPromptConfig,
  parseAdaptionPromptConfig,
  serializeAdaptionPromptConfig,
  validateAdaptionPromptConfig,
} from "../adapter/config.ts";
import {
  adapterMetadata,
  adapterTensors,
  checkAdapterKeys,
  compareAdapterKeys,
  declaredGate,
  declaredOutputBias,
  furtherMetadata,
  readAdapterTensors,
} from "../adapter/keys.ts";
import { type AdapterLayout, type AdapterShape, adapterLayout, type OutputBias } from "../adapter/layout.ts";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import type { ModelConfig } from "../model/config.ts";
import { writeFileAtomic } from "./atomic.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { openSafetensors, readFully } from "./safetensors_file.ts";

const WEIGHTS = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";

export interface SavedAdapter {
  readonly config: AdaptionPromptConfig;
  readonly layout: AdapterLayout;
  readonly params: Float32Array;
  /** Of the numbers in the file; the default f32 loses nothing. */
  readonly dtype?: DType;
  /** Further keys for the file's metadata, for example `zerogate.step`; PEFT ignores them. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface LoadedAdapter {
  readonly config: AdaptionPromptConfig;
  readonly shape: AdapterShape;
  readonly params: Float32Array;
  /** The file's further metadata, as `saveAdapter` takes it: `format` and what `shape` says are left out. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What was ignored, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Writes the three files into `folder`, made where it is missing; each file is replaced in one step. PEFT loads the
 * folder as is, except with per-head or tanh gates, which PEFT does not have.
 */
export async function saveAdapter(folder: string, adapter: SavedAdapter): Promise<void> {
  const { config, layout, params, dtype = "f32", metadata } = adapter;
  if (config.adapterLen !== layout.promptLength || config.adapterLayers !== layout.adaptedLayers) {
    const found = `${config.adapterLayers} layers of ${config.adapterLen} prompts`;
    throw new RangeError(
      `Cannot save the adapter: its config says ${found}, its layout ${layout.adaptedLayers} of ${layout.promptLength}`,
    );
  }
  const module = config.autoMapping?.["base_model_class"]?.endsWith("Model") ? "bare" : "causal-lm";
  const tensors = adapterTensors(layout, params, dtype, module);
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(join(folder, WEIGHTS), serializeSafetensors(tensors, adapterMetadata(layout, metadata)));
  await writeFileAtomic(join(folder, CONFIG), serializeAdaptionPromptConfig(config));
  await writeFileAtomic(join(folder, "README.md"), modelCard(config, layout));
}

/**
 * Loads an adapter for this model. On a base with a bias in its output projection, `outputBias` says what a file means that
 * does not say it itself, as PEFT's do not: without it that is `once`, with a warning. Throws an `InputError` on whatever PEFT would pass over in silence: tensors missing,
 * surplus or of another shape, layers of another base, numbers that are not finite, a file cut off.
 */
export async function loadAdapter(
  folder: string,
  model: ModelConfig,
  { outputBias }: { readonly outputBias?: OutputBias | undefined } = {},
): Promise<LoadedAdapter> {
  const json = await readFolderJson(folder, CONFIG);
  const { config: parsed, warnings } = parseAdaptionPromptConfig(json, join(folder, CONFIG));
  const config = validateAdaptionPromptConfig(parsed, model);
  const found = await folderFile(folder, WEIGHTS);
  if (found === undefined) {
    const isPickle = (await folderFile(folder, "adapter_model.bin")) !== undefined;
    const problem = isPickle
      ? `its weights are a pickle (adapter_model.bin), which is not supported yet: save it as ${WEIGHTS} with PEFT`
      : `there is no ${WEIGHTS}`;
    throw new InputError(`Cannot load the adapter in ${folder}`, problem);
  }
  const file = await openSafetensors(found);
  try {
    const meant = declaredOutputBias(file.metadata, file.path) ?? outputBias;
    const shape: AdapterShape = {
      promptLength: config.adapterLen,
      adaptedLayers: config.adapterLayers,
      ...declaredGate(file.metadata, file.path),
      outputBias: meant,
    };
    const layout = adapterLayout(shape, model);
    if (layout.outputBias !== undefined && meant === undefined) warnings.push(undeclaredBias(folder));
    checkAdapterKeys(compareAdapterKeys(file.tensors, layout), layout, file.path);
    const tensors = new Map<string, Tensor>();
    for (const [name, { begin, end, ...entry }] of file.tensors) {
      const bytes = new Uint8Array(end - begin);
      await readFully(file, bytes, begin);
      tensors.set(name, { ...entry, bytes });
    }
    const { params } = readAdapterTensors(tensors, layout, file.path);
    return { config, shape, params, metadata: furtherMetadata(file.metadata), warnings };
  } finally {
    await file.handle.close();
  }
}

/** The adapter may come from PEFT, which would compute something else on this base. */
function undeclaredBias(folder: string): string {
  return (
    `${folder} does not say how often it adds the bias of the base's output projection: once is taken, ` +
    "outputBias twice is what PEFT computes"
  );
}

/** A short model card with the header that the Hugging Face hub reads; values are quoted, a path is not trusted YAML. */
function modelCard(config: AdaptionPromptConfig, layout: AdapterLayout): string {
  const base = config.baseModelNameOrPath;
  const header = ["library_name: peft"];
  if (base) header.unshift(`base_model: ${JSON.stringify(base)}`);
  if (config.taskType === "CAUSAL_LM") header.push("pipeline_tag: text-generation");
  header.push(
    "tags:",
    ...(base ? [`- ${JSON.stringify(`base_model:adapter:${base}`)}`] : []),
    "- llama-adapter",
    "- zerogate",
  );
  const gate = `${layout.gateSharing} gate${layout.gateActivation === "tanh" ? " with tanh" : ""}`;
  const bias =
    layout.outputBias === "once"
      ? " The bias of the base's output projection is added once; PEFT adds it twice and computes something else."
      : "";
  const text = `LLaMA-Adapter (adaption prompts): ${layout.promptLength} prompt tokens in each of the last ${layout.adaptedLayers} layers, ${gate}, ${layout.length} trained numbers.${bias}`;
  return `---\n${header.join("\n")}\n---\n\n# Adapter\n\n${text}\n`;
}
