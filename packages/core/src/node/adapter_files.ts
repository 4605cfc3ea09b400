/**
 * Adapters on disk. A folder is as PEFT writes and reads it: `adapter_model.safetensors`, `adapter_config.json`, `README.md`; beside them
 * `zerogate.json`, which says how its prompts are written, and for an adapter that sees images `vision.safetensors` and
 * `vision_config.json`. PEFT does not look at these: to it the folder is the text adapter.
 */
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  type AdaptionPromptConfig,
  parseAdaptionPromptConfig,
  serializeAdaptionPromptConfig,
  validateAdaptionPromptConfig,
} from "../adapter/files/config.ts";
import type { ReadDialectOptions } from "../adapter/files/dialects.ts";
import { modelCard } from "../adapter/files/model_card.ts";
import {
  ADAPTER_FILE,
  adapterMetadata,
  checkAdapterKeys,
  compareAdapterKeys,
  declaredAttachment,
  declaredOutputBias,
  furtherMetadata,
  readAdapterTensors,
  tableFor,
} from "../adapter/files/peft.ts";
import {
  PROMPT_FORMAT,
  type PromptFormat,
  parsePromptFormat,
  serializePromptFormat,
} from "../adapter/files/prompt_format.ts";
import { storedLayout } from "../adapter/files/stored_layout.ts";
import { ourDTypes } from "../adapter/files/tensors.ts";
import { type SeenFeatures, serializeVisionConfig, VISION_CONFIG } from "../adapter/files/vision_config.ts";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterLayout, AdapterShape, OutputBias } from "../adapter/layout.ts";
import { VISION_FILE } from "../adapter/parts/projection.ts";
import { declaredSettings } from "../adapter/settings.ts";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadAdapterFile } from "./adapter_dialects.ts";
import { withAdapterWeights } from "./adapter_weights.ts";
import { writeFileAtomic } from "./atomic.ts";
import type { LoadedAdapter } from "./loaded_adapter.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { partFiles } from "./part_files.ts";
import { checkVisionConfig, readVisionConfig, readVisionParts } from "./vision_files.ts";

const CONFIG = "adapter_config.json";

/** What `saveAdapter` writes. */
export interface SavedAdapter {
  readonly config: AdaptionPromptConfig;
  readonly layout: AdapterLayout;
  readonly params: Float32Array;
  /** Of the numbers in the file; f32 loses nothing. @default "f32" */
  readonly dtype?: DType;
  /** Further keys for the file's metadata, for example `zerogate.step`; PEFT ignores them. @default none */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How the prompts were written that it was trained on. @default none: the folder does not say */
  readonly promptFormat?: PromptFormat | undefined;
  /** What its images become. Needed if its layout has images. @default none: a text adapter */
  readonly seen?: SeenFeatures | undefined;
  /** Which state of a run this is, for the model card, for example `step 60 of 60, the last`. @default none */
  readonly origin?: string;
}

/**
 * Writes the files into `folder`, made if it is missing; each file is replaced in one step, and files of an adapter that was
 * there before are removed if this one has no such files. PEFT loads the folder as is, except with per-head or tanh gates,
 * which PEFT does not have.
 *
 * @throws RangeError if config and layout disagree, if what images become (`seen`) is needed and not given, or if it tunes its base.
 * @throws InputError if a number is not finite in `dtype`.
 * @example
 * await saveAdapter("out/mine", { ...adapter, origin: "step 60 of 60, the last" });
 */
export async function saveAdapter(folder: string, adapter: SavedAdapter): Promise<void> {
  const files = adapterFiles(adapter);
  await mkdir(folder, { recursive: true });
  for (const name of [PROMPT_FORMAT, VISION_CONFIG, VISION_FILE]) {
    if (!files.has(name)) await rm(join(folder, name), { force: true });
  }
  for (const [name, bytes] of files) await writeFileAtomic(join(folder, name), bytes);
}

/** The same files as bytes, by name. Throws a RangeError if config and layout disagree, and for an adapter that tunes its base. */
export function adapterFiles(adapter: SavedAdapter): ReadonlyMap<string, Uint8Array | string> {
  const { config, layout, params, dtype = "f32", metadata, promptFormat, seen, origin } = adapter;
  const { promptLength, adaptedLayers } = layout.shape;
  if (config.adapterLen !== promptLength || config.adapterLayers !== adaptedLayers) {
    const found = `${config.adapterLayers} layers of ${config.adapterLen} prompts`;
    throw new RangeError(
      `Cannot save the adapter: its config says ${found}, its layout ${adaptedLayers} of ${promptLength}`,
    );
  }
  const { attention } = layout.base.modules;
  const targetModules = config.targetModules ?? attention;
  if (targetModules !== attention) {
    throw new RangeError(`Cannot save the adapter: its config says ${targetModules}, its layout ${attention}`);
  }
  if (layout.shape.vision && !seen) {
    throw new RangeError("Cannot save the adapter: it has images, and what they become (seen) is not given");
  }
  if (layout.shape.tuning) {
    const needed = "for which PEFT's files have no place: keep its layout and its numbers";
    throw new RangeError(`Cannot save the adapter: it tunes its base, ${needed}`);
  }
  const module = config.autoMapping?.["base_model_class"]?.endsWith("Model") ? "bare" : "causal-lm";
  const said = {
    [ADAPTER_FILE]: adapterMetadata(layout.shape, metadata, layout.base),
    [VISION_FILE]: { format: "pt", "zerogate.vision": "1" },
  };
  const visible = layout.shape.vision ? seen : undefined;
  return new Map<string, Uint8Array | string>([
    ...partFiles(tableFor(module, layout), params, { dtype, metadata: said }),
    [CONFIG, serializeAdaptionPromptConfig({ ...config, targetModules })],
    ...(visible ? [[VISION_CONFIG, serializeVisionConfig(visible, layout)] as const] : []),
    ["README.md", modelCard(config, layout, origin, visible)],
    ...(promptFormat ? [[PROMPT_FORMAT, serializePromptFormat(promptFormat)] as const] : []),
  ]);
}

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions extends ReadDialectOptions {
  /** Refuse a folder in which tensors are missing or surplus; if false, missing ones count as zeros. @default true */
  readonly strict?: boolean;
  /**
   * How often a folder that does not say it means the bias of the base's output projection, as PEFT's do not.
   * @default "once", with a warning if the base has such a bias
   */
  readonly outputBiasTimes?: OutputBias | undefined;
}

/**
 * Loads an adapter for this model: a folder as PEFT and `saveAdapter` write it, or one file of the original LLaMA-Adapter
 * code, of litgpt or lit-llama (`.pth`, `.safetensors`, also a training checkpoint with the base in it). The names of its
 * tensors say which; prompts are `[K, D]`, gates one number or one per query head, and numbers become float32.
 *
 * @throws InputError on all that other readers pass over in silence: tensors missing, surplus or of another shape, another
 * base, numbers that are not finite, a file cut off, LLaMA-Adapter V2.
 * @example
 * const config = await readModelConfig("models/base");
 * const folder = await loadAdapter("runs/first/adapter", config);
 * const original = await loadAdapter("llama_adapter_len10_layer30_release.pth", config, { originalGate: "none" });
 */
export async function loadAdapter(
  path: string,
  model: ModelConfig,
  options: LoadAdapterOptions = {},
): Promise<LoadedAdapter> {
  const isFile = await stat(path).then(
    (found) => !found.isDirectory(),
    () => false,
  );
  return isFile ? loadAdapterFile(path, model, options) : loadAdapterFolder(path, model, options);
}

async function loadAdapterFolder(
  folder: string,
  model: ModelConfig,
  { strict = true, outputBiasTimes }: LoadAdapterOptions,
): Promise<LoadedAdapter> {
  const { config: parsed, warnings } = await readAdapterConfig(folder);
  const config = validateAdaptionPromptConfig(parsed, model);
  const promptFormat = await readPromptFormat(folder);
  const vision = await readVisionConfig(folder);
  warnings.push(...(vision?.warnings ?? []));
  return withAdapterWeights(folder, async (stored) => {
    warnings.push(...stored.notes);
    declaredAttachment(stored.metadata, stored.path);
    const meant = declaredOutputBias(stored.metadata, stored.path) ?? outputBiasTimes;
    const shape: AdapterShape = {
      promptLength: config.adapterLen,
      adaptedLayers: config.adapterLayers,
      ...declaredSettings(stored.metadata, stored.path),
      outputBiasTimes: meant,
      ...(vision && { vision: vision.config.shape }),
    };
    const layout = adapterLayout(shape, model);
    if (vision) checkVisionConfig(folder, vision.config, { ...shape, hiddenSize: model.hiddenSize });
    if (layout.base.hasOutputBias && meant === undefined) warnings.push(undeclaredBias(folder));
    checkAdapterKeys(compareAdapterKeys(stored.entries, layout), layout, stored.path, strict);
    const { params, report } = readAdapterTensors(await stored.read(), layout, stored.path, { strict });
    await readVisionParts(folder, layout, params, strict);
    const metadata = furtherMetadata(stored.metadata);
    return { config, shape, params, report, metadata, promptFormat, seen: vision?.config, warnings };
  });
}

/** An adapter as its files alone describe it. */
export interface StoredAdapter extends Omit<LoadedAdapter, "report"> {
  /** Of a base that ends with the highest prompt; heads are 1 if neither the file nor the caller gives them. */
  readonly layout: AdapterLayout;
  /** Of all numbers; f32 if tensors differ. */
  readonly dtype: DType;
  /** The file with the numbers. */
  readonly weightsPath: string;
}

/**
 * Reads an adapter folder without its base, to look at it, to compare or to convert it.
 *
 * @param heads H of its base, if the file does not say it. @default 1
 * @throws InputError if its config and its tensors contradict each other, and on all that `loadAdapter` refuses in a folder.
 * @example
 * const { layout, params } = await readAdapter("runs/first/adapter");
 */
export async function readAdapter(folder: string, heads?: number): Promise<StoredAdapter> {
  const { config, warnings } = await readAdapterConfig(folder);
  const promptFormat = await readPromptFormat(folder);
  const vision = await readVisionConfig(folder);
  warnings.push(...(vision?.warnings ?? []));
  return withAdapterWeights(folder, async (stored) => {
    warnings.push(...stored.notes);
    const outputBiasTimes = declaredOutputBias(stored.metadata, stored.path);
    const declared = {
      ...declaredSettings(stored.metadata, stored.path),
      outputBiasTimes,
      ...(vision && { vision: vision.config.shape }),
    };
    const attachment = declaredAttachment(stored.metadata, stored.path);
    const layout = storedLayout(stored.entries, { ...declared, attachment }, stored.path, heads);
    const { promptLength, adaptedLayers } = layout.shape;
    if (vision) checkVisionConfig(folder, vision.config, { promptLength, adaptedLayers, ...layout.base });
    if (config.adapterLen !== promptLength || config.adapterLayers !== adaptedLayers) {
      const says = `${CONFIG} says ${config.adapterLayers} layers of ${config.adapterLen} prompts`;
      throw new InputError(
        `Cannot use the adapter ${folder}`,
        `${says}, its tensors are ${adaptedLayers} of ${promptLength}`,
      );
    }
    checkAdapterKeys(compareAdapterKeys(stored.entries, layout), layout, stored.path);
    const { params } = readAdapterTensors(await stored.read(), layout, stored.path);
    await readVisionParts(folder, layout, params);
    const shape: AdapterShape = { promptLength, adaptedLayers, ...declared };
    const dtypes = new Set([...stored.entries.values()].map(({ dtype }) => ourDTypes.get(dtype) ?? "f32"));
    const [dtype = "f32"] = dtypes.size === 1 ? dtypes : [];
    return {
      config,
      shape,
      layout,
      params,
      dtype,
      weightsPath: stored.path,
      metadata: furtherMetadata(stored.metadata),
      promptFormat,
      seen: vision?.config,
      warnings,
    };
  });
}

async function readAdapterConfig(folder: string): Promise<{ config: AdaptionPromptConfig; warnings: string[] }> {
  return parseAdaptionPromptConfig(await readFolderJson(folder, CONFIG), join(folder, CONFIG));
}

/** How the prompts of an adapter folder were written; undefined if it does not say. Throws an `InputError` on another file of that name. */
export async function readPromptFormat(folder: string): Promise<PromptFormat | undefined> {
  if ((await folderFile(folder, PROMPT_FORMAT)) === undefined) return undefined;
  return parsePromptFormat(await readFolderJson(folder, PROMPT_FORMAT), join(folder, PROMPT_FORMAT));
}

/** The adapter may come from PEFT, which would compute something else on this base. */
function undeclaredBias(folder: string): string {
  return (
    `${folder} does not say how often it adds the bias of the base's output projection: once is taken, ` +
    "outputBias twice is what PEFT computes"
  );
}
