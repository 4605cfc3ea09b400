/** A base with its tokenizer and any number of adapters in this thread: what answers. */
import { availableParallelism } from "node:os";
import { AdaptionPromptModel, createModel, InputError, type PromptFormat, type WeightImage } from "@zerogate/core";
import { type LoadedAdapter, loadAdapter } from "@zerogate/core/node";
import type { Tokenizer } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { CreateEngine } from "@zerogate/workers";
import type { Phase } from "../run/phase.ts";
import { loadBaseHere, type OpenedBase, OWN_TOKENIZER, openBase } from "./base.ts";
import { locateModel, type NamedAdapter } from "./locate.ts";
import { type PromptFlags, promptFormatOf } from "./prompt_format.ts";
import { openSight } from "./sight.ts";

/** What to open, and on which engine; engines, arithmetic and storage are those of docs/config.md. */
export interface ModelRequest extends Partial<PromptFlags> {
  /** Folder of the base. @default the base that the first adapter names */
  readonly model?: string | undefined;
  /** Folder of the tokenizer. @default the base's own */
  readonly tokenizer?: string | undefined;
  /** Folders of adapters or of runs, or files of other programs, as `DIR` or `DIR=NAME`; the first is active. @default none */
  readonly adapters?: readonly (string | NamedAdapter)[];
  /** Follow links that lead out of the folders. @default true */
  readonly links?: boolean | undefined;
  /** @default "auto" */
  readonly engine?: TrainConfig["engine"];
  /** @default "auto", bf16 for a base in bf16 if the engine has it */
  readonly compute?: TrainConfig["compute"];
  /** @default "as-is" */
  readonly storage?: TrainConfig["storage"];
  /** @default "auto" */
  readonly packing?: TrainConfig["packing"];
  /** The GPU of the engine `cuda`; one at most, since a model is on one. @default the first that the engine can use */
  readonly devices?: TrainConfig["devices"];
  /** What adapters mean that do not say it themselves. @default "once" */
  readonly outputBias?: TrainConfig["outputBias"];
  /** Folder of the tower that sees images. @default that which the adapter names */
  readonly tower?: string | undefined;
  /** Takes a tower of the same sizes and another hash than an adapter's, with a warning. @default false */
  readonly acceptTower?: boolean | undefined;
  /** Refuse tensors of the base that nothing reads. @default false */
  readonly strictTensors?: boolean;
}

/** Where opening a model reports what it does. @default nowhere */
export interface OpeningView {
  /** Receives what is used otherwise than it may have been meant. */
  readonly onWarning?: (message: string) => void;
  /** Receives what is being done, undefined once it is done. */
  readonly onPhase?: (phase: Phase | undefined) => void;
  /** Receives which of several things was taken: the base that an adapter names, the newest checkpoint of a run. */
  readonly onNote?: (note: string) => void;
}

/** A model that answers, see `answer`. */
export interface OpenedModel {
  /** Base and adapters: logits, scores, gradients, generation, and switching between adapters. */
  readonly model: AdaptionPromptModel;
  readonly tokenizer: Tokenizer;
  /** Returns how prompts are written for an adapter; those of the base alone are written as the first adapter's. */
  promptFormat(adapter: string | null | undefined): PromptFormat;
  /**
   * Returns the features of images as an adapter takes them. Its tower is opened for the first one. Without images: what the adapter
   * sees in place of one that is missing, if it was trained with `missingImage: zero-image`.
   *
   * @throws InputError for an adapter that was trained without images, a tower that is not its own, and images that cannot be read.
   */
  look(adapter: string, images: readonly string[]): Promise<Float32Array>;
}

/**
 * Opens a base and adapters for it, in this thread.
 *
 * @throws InputError for what cannot be used, DamagedError for files that are not as they were written.
 * @example
 * const opened = await openModel({ adapters: ["runs/first"] });
 * for await (const text of answer(opened, { instruction: "Name three colours." })) process.stdout.write(text);
 */
export async function openModel(request: ModelRequest, view: OpeningView = {}): Promise<OpenedModel> {
  const { onWarning = () => {}, onPhase = () => {}, onNote = () => {} } = view;
  const { engine = "auto", compute = "auto", storage = "as-is", packing = "auto", devices } = request;
  const { model: wanted, adapters: named = [], links = true, strictTensors = false, outputBias } = request;
  const { tokenizer: namedTokenizer = OWN_TOKENIZER } = request;
  if (devices && devices.length > 1) {
    const found = `devices names ${devices.length} GPUs, one answers`;
    throw new InputError("Cannot answer on several GPUs", `${found}: use --devices ${devices[0]}`);
  }
  const located = await locateModel({ model: wanted, adapters: named, links }, onNote);
  const settings = { engine, compute, storage, packing, devices, links, strictTensors, workers: 1, isolate: false };
  const folders = { model: located.folder, tokenizer: namedTokenizer };
  const base = await openBase({ ...settings, ...folders }, onWarning, availableParallelism());
  const { model: config, tokenizer } = base;
  const flags = { template: request.template, bos: request.bos };
  const baseFormat = await promptFormatOf(undefined, flags, tokenizer, onWarning);
  const adapters: { name: string; loaded: LoadedAdapter; format: PromptFormat }[] = [];
  for (const { folder, name } of located.adapters) {
    const loaded = await loadAdapter(folder, config, { outputBiasTimes: outputBias });
    for (const warning of loaded.warnings) onWarning(warning);
    adapters.push({ name, loaded, format: await promptFormatOf({ ...loaded, folder }, flags, tokenizer, onWarning) });
  }
  const model = await modelHere(base, adapters, onPhase);
  const promptFormat = (adapter: string | null | undefined) =>
    (adapters.find(({ name }) => name === adapter) ?? adapters[0])?.format ?? baseFormat;
  const sight = openSight({ links, tower: request.tower, acceptTower: request.acceptTower }, onWarning);
  const look = (adapter: string, images: readonly string[]) => {
    return sight.look(adapter, adapters.find(({ name }) => name === adapter)?.loaded, images);
  };
  return { model, tokenizer, promptFormat, look };
}

/**
 * Puts a base and adapters on the base's engine, in this thread.
 *
 * @param weights those of the base, if they are loaded. @default they are loaded here
 */
export async function modelHere(
  base: OpenedBase,
  adapters: readonly { readonly name: string; readonly loaded: LoadedAdapter }[],
  onPhase: NonNullable<OpeningView["onPhase"]>,
  weights?: WeightImage,
): Promise<AdaptionPromptModel> {
  const { createEngine } = (await import(base.engine.module)) as { createEngine: CreateEngine };
  const engine = await createEngine({ ...base.engine.options }, 0);
  const image = weights ?? (await loadBaseHere(base, onPhase));
  onPhase(undefined);
  const model = new AdaptionPromptModel(createModel(engine, base.model, image));
  for (const { name, loaded } of adapters) model.addAdapter(name, loaded);
  return model;
}
