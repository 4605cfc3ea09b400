/**
 * Opening a base, the one way for whoever uses it: training, evaluating, answering, checking a run. First what is small and may
 * be refused, then the weights. Nothing is written.
 */
import { resolve } from "node:path";
import type { Allocate, ModelConfig, WeightImage } from "@zerogate/core";
import type { Compute } from "@zerogate/core/engine";
import { loadWeights, readModelConfig } from "@zerogate/core/node";
import { checkVocabulary, loadTokenizer, type Tokenizer } from "@zerogate/data";
import { chooseEngine, type EngineChoice, isIsolated, loadOptions, type TrainConfig } from "@zerogate/run-config";
import { sharedMemory, type WeightFolder } from "@zerogate/workers";
import type { Phase } from "../run/phase.ts";
import { resolveCompute } from "./compute.ts";
import { checkLinks } from "./links.ts";
import { loadingPhase } from "./loading.ts";

type FolderKey = "model" | "tokenizer" | "links" | "strictTensors";
/** What `tokenizer` is if the base's own is meant. */
export const OWN_TOKENIZER = "model";

type EngineKey = "engine" | "compute" | "storage" | "packing" | "devices" | "workers" | "isolate";

/** The part of a config that decides how a base is opened. */
export type BaseRequest = Pick<TrainConfig, FolderKey | EngineKey>;

/** A base of which all is known but its weights. */
export interface OpenedBase {
  readonly folder: string;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly engine: EngineChoice;
  /** What its products are computed in: what was asked for, or what `auto` is here. */
  readonly compute: Compute;
  /** Each worker is a process that reads the weights for itself. */
  readonly isIsolated: boolean;
}

/** Returns the model's config. Throws an InputError if the folder holds none that can be used. */
export async function readBase(
  { model: folder, tokenizer, links, strictTensors }: Pick<BaseRequest, FolderKey>,
  onWarning: (message: string) => void,
): Promise<ModelConfig> {
  await checkLinks({ links }, [folder, tokenizer === OWN_TOKENIZER ? undefined : tokenizer]);
  return await readModelConfig(folder, { onWarning, strictTensors });
}

/**
 * Reads config and tokenizer, compares their vocabularies and chooses the engine.
 * @param threads of one engine: device workers have one each, a model in this thread may use all cores.
 * @throws InputError for what cannot be used.
 */
export async function openBase(
  request: BaseRequest,
  onWarning: (message: string) => void,
  threads = 1,
): Promise<OpenedBase> {
  const folder = request.model;
  const model = await readBase(request, onWarning);
  const tokenizer = await openTokenizer(request, model, onWarning);
  const compute = request.compute === "auto" ? await resolveCompute(request, model) : request.compute;
  const engine = await chooseEngine({ ...request, compute }, model, threads);
  return { folder, model, tokenizer, engine, compute, isIsolated: isIsolated(request, engine) };
}

/** Returns the tokenizer of a base, or the one that is named instead; what it and the model disagree on is reported. */
export async function openTokenizer(
  { model: folder, tokenizer: named }: Pick<BaseRequest, "model" | "tokenizer">,
  model: ModelConfig,
  onWarning: (message: string) => void,
): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(named === OWN_TOKENIZER ? folder : named, model);
  const mismatch = checkVocabulary(tokenizer, model.vocabSize);
  if (mismatch) onWarning(mismatch);
  return tokenizer;
}

/** Loads the weights if one image serves all workers; else returns what each of them is to read. */
export async function loadBase(
  base: OpenedBase,
  onPhase: (phase: Phase | undefined) => void,
): Promise<WeightImage | WeightFolder> {
  return base.isIsolated
    ? { folder: resolve(base.folder), ...loadOptions(base.engine) }
    : await loadBaseHere(base, onPhase, sharedMemory);
}

/**
 * Loads the weights into this process, whatever its workers do.
 * @param allocate makes their memory. @default memory of this thread alone
 */
export async function loadBaseHere(
  { folder, model, engine }: OpenedBase,
  onPhase: (phase: Phase | undefined) => void,
  allocate?: Allocate,
): Promise<WeightImage> {
  const options = { ...loadOptions(engine), ...(allocate && { allocate }) };
  return await loadWeights(folder, model, { ...options, onProgress: loadingPhase(onPhase) });
}
