/** A base with its tokenizer and any number of adapters in this thread: for generate, chat and other tools. */
import { availableParallelism } from "node:os";
import { AdaptionPromptModel, createModel, InputError, type PromptFormat } from "@zerogate/core";
import { type LoadedAdapter, loadAdapter, loadWeights, readModelConfig } from "@zerogate/core/node";
import { checkVocabulary, loadTokenizer, type Tokenizer } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { chooseEngine, loadOptions } from "@zerogate/run-config";
import type { CreateEngine } from "@zerogate/workers";
import { loadingPhase } from "./loading.ts";
import type { Located } from "./locate.ts";
import type { Phase } from "./phase.ts";
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
  /** One GPU at most: a model is on one. */
  readonly devices?: TrainConfig["devices"];
  /** What adapters mean that do not say it themselves, see `loadAdapter`. */
  readonly outputBias: TrainConfig["outputBias"] | undefined;
  /** Refuses tensors of the base that nothing reads. */
  readonly strictTensors: boolean;
  readonly onWarning: (message: string) => void;
  readonly onPhase: (phase: Phase | undefined) => void;
}

/** @throws InputError for whatever of it cannot be used. */
export async function openModel({ folder, adapters: named }: Located, options: OpenModelOptions): Promise<OpenedModel> {
  const { onWarning, onPhase, devices } = options;
  const { strictTensors } = options;
  if (devices && devices.length > 1) {
    const found = `devices names ${devices.length} GPUs, one answers`;
    throw new InputError("Cannot answer on several GPUs", `${found}: use --devices ${devices[0]}`);
  }
  const config = await readModelConfig(folder, { onWarning, strictTensors });
  const tokenizer = await loadTokenizer(folder, config);
  const mismatch = checkVocabulary(tokenizer, config.vocabSize);
  if (mismatch) onWarning(mismatch);
  const baseFormat = await promptFormatOf(undefined, options, tokenizer, onWarning);
  const adapters: { name: string; loaded: LoadedAdapter; format: PromptFormat }[] = [];
  for (const { folder: directory, name } of named) {
    const loaded = await loadAdapter(directory, config, { outputBias: options.outputBias });
    for (const warning of loaded.warnings) onWarning(warning);
    const format = await promptFormatOf({ ...loaded, folder: directory }, options, tokenizer, onWarning);
    adapters.push({ name, loaded, format });
  }
  const chosen = await chooseEngine({ ...options, workers: 1 }, config, availableParallelism());
  const { createEngine } = (await import(chosen.module)) as { createEngine: CreateEngine };
  const engine = await createEngine({ ...chosen.options }, 0);
  const image = await loadWeights(folder, config, {
    ...loadOptions(chosen),
    onProgress: loadingPhase(onPhase),
  });
  onPhase(undefined);
  const model = new AdaptionPromptModel(createModel(engine, config, image));
  for (const { name, loaded } of adapters) model.addAdapter(name, loaded);
  const promptFormat = (adapter: string | null | undefined) =>
    (adapters.find(({ name }) => name === adapter) ?? adapters[0])?.format ?? baseFormat;
  return { model, tokenizer, promptFormat };
}
