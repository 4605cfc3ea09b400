/** A base with its tokenizer and any number of adapters in this thread: for generate, chat and other tools. */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { AdaptionPromptModel, createModel, InputError, type PromptFormat } from "@zerogate/core";
import { type LoadedAdapter, loadAdapter, loadWeights, readModelConfig } from "@zerogate/core/node";
import { checkVocabulary, loadTokenizer, type Tokenizer } from "@zerogate/data";
import type { CreateEngine } from "@zerogate/workers";
import type { TrainConfig } from "../config/train_config.ts";
import type { Phase } from "../status/state.ts";
import { chooseEngine } from "./engines.ts";
import { checkLinks } from "./links.ts";
import { loadingPhase } from "./loading.ts";
import { type PromptFlags, promptFormatOf } from "./prompt_format.ts";

export interface OpenedModel {
  readonly model: AdaptionPromptModel;
  readonly tokenizer: Tokenizer;
  /** How prompts are written for an adapter; those of the base alone are written as the first adapter's. */
  promptFormat(adapter: string | null | undefined): PromptFormat;
}

export interface OpenModelOptions extends PromptFlags {
  readonly engine: TrainConfig["engine"];
  readonly compute: TrainConfig["compute"];
  readonly storage: TrainConfig["storage"];
  readonly packing: TrainConfig["packing"];
  /** Whether links may lead out of the folders. */
  readonly links: boolean | undefined;
  /** `DIR` or `DIR=NAME`; the first one is active. Without a name an adapter is called after its folder. */
  readonly adapters: readonly string[];
  /** What adapters mean that do not say it themselves, see `loadAdapter`. */
  readonly outputBias: TrainConfig["outputBias"] | undefined;
  /** Refuses tensors of the base that nothing reads. */
  readonly strictTensors: boolean;
  readonly onWarning: (message: string) => void;
  readonly onPhase: (phase: Phase | undefined) => void;
}

/** @throws InputError for whatever of it cannot be used. */
export async function openModel(folder: string, options: OpenModelOptions): Promise<OpenedModel> {
  const { onWarning, onPhase } = options;
  const { strictTensors } = options;
  await checkLinks(options, [folder, ...options.adapters.map((text) => parseAdapterFlag(text).directory)]);
  const config = await readModelConfig(folder, { onWarning, strictTensors });
  const tokenizer = await loadTokenizer(folder, config);
  const mismatch = checkVocabulary(tokenizer, config.vocabSize);
  if (mismatch) onWarning(mismatch);
  const baseFormat = await promptFormatOf(undefined, options, tokenizer, onWarning);
  const adapters: { name: string; loaded: LoadedAdapter; format: PromptFormat }[] = [];
  for (const text of options.adapters) {
    const { directory, name } = parseAdapterFlag(text);
    if (adapters.some((other) => other.name === name)) {
      const way = `name this one with --adapter ${directory}=NAME`;
      throw new InputError(`Cannot use --adapter ${text}`, `there is an adapter "${name}" before it: ${way}`);
    }
    const loaded = await loadAdapter(directory, config, { outputBias: options.outputBias });
    for (const warning of loaded.warnings) onWarning(warning);
    const format = await promptFormatOf({ ...loaded, folder: directory }, options, tokenizer, onWarning);
    adapters.push({ name, loaded, format });
  }
  const chosen = chooseEngine(options, config, availableParallelism());
  const { module, options: engineOptions, weightDtypes, mapFiles, storage } = chosen;
  const { createEngine } = (await import(module)) as { createEngine: CreateEngine };
  const engine = await createEngine({ ...engineOptions }, 0);
  const image = await loadWeights(folder, config, {
    weightDtypes,
    mapFiles,
    storage,
    onProgress: loadingPhase(onPhase),
  });
  onPhase(undefined);
  const model = new AdaptionPromptModel(createModel(engine, config, image));
  for (const { name, loaded } of adapters) model.addAdapter(name, loaded);
  const promptFormat = (adapter: string | null | undefined) =>
    (adapters.find(({ name }) => name === adapter) ?? adapters[0])?.format ?? baseFormat;
  return { model, tokenizer, promptFormat };
}

/** `DIR=NAME` or `DIR`. A `=` inside the folder's own name is fine as long as a name follows the last one. */
function parseAdapterFlag(text: string): { directory: string; name: string } {
  const at = text.lastIndexOf("=");
  if (at === -1) return { directory: text, name: basename(text) };
  const [directory, name] = [text.slice(0, at), text.slice(at + 1)];
  if (directory === "" || name === "") {
    throw new InputError(`Cannot use --adapter ${text}`, "expected DIR or DIR=NAME");
  }
  return { directory, name };
}
