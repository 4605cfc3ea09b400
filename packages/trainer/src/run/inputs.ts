/**
 * Everything a run reads, checked before anything is written: base, tokenizer, data, and what follows from them: the adapter's
 * layout, the split, the plan. The order is cheapest first, so that a wrong flag is not found after a minute of tokenising.
 */
import {
  type AdapterLayout,
  type AdaptionPromptConfig,
  adapterLayout,
  backwardLayers,
  InputError,
  initParameters,
  type LearningRateSchedule,
  type ModelConfig,
  trainingCost,
  validateAdaptionPromptConfig,
  type WeightImage,
} from "@zerogate/core";
import { baseHash, baseStamp, cachedBaseHash, cacheFolder, loadAdapter, weightBytes } from "@zerogate/core/node";
import {
  createPlan,
  listDataFiles,
  loadTemplate,
  measureSamples,
  type Plan,
  type PreparedTokens,
  splitSamples,
  type Template,
  type Tokenizer,
} from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { type EngineChoice, loadOptions } from "@zerogate/run-config";
import type { WeightFolder } from "@zerogate/workers";
import { loadBase, openBase } from "../open/base.ts";
import { allSamples, cellsOf, type HeldOut, lengthFor, openData, type Progress, wholeSet } from "../open/data.ts";
import { checkLinks } from "../open/links.ts";
import { adapterFolder } from "../open/locate.ts";
import { checkAdapterSize, workersProblem } from "./capacity.ts";
import { checkDropped, type DataCounts } from "./data_counts.ts";
import { scheduleOf, totalStepsOf } from "./schedule.ts";

type PlanKey = "seed" | "batchSize" | "cellTokens" | "cellMultiple" | "dropLast";

export interface RunInputs {
  readonly model: ModelConfig;
  /** With `isolate` each worker reads the base for itself. */
  readonly weights: WeightImage | WeightFolder;
  readonly weightBytes: number;
  readonly engine: EngineChoice;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly train: PreparedTokens;
  /** Of `data`, and of `validationData` where it is set. */
  readonly counts: readonly DataCounts[];
  readonly heldOut: HeldOut | undefined;
  readonly plan: Plan;
  /** The plan of the same samples under other settings. */
  readonly planOf: (config: Pick<TrainConfig, PlanKey>) => Plan;
  readonly totalSteps: number;
  /** A number of cells that no step exceeds. */
  readonly maxCells: number;
  readonly schedule: LearningRateSchedule;
  readonly adapterConfig: AdaptionPromptConfig;
  readonly layout: AdapterLayout;
  /** Where training starts: fresh, or a trained adapter's numbers. */
  readonly initialParams: Float32Array;
  readonly hashes: {
    readonly base: string;
    readonly data: string;
    readonly tokenizer: string;
    readonly plan: string;
  };
}

/**
 * @param caches Whether tokens and the base's hash may come from the cache, or all of it is read and made anew.
 * @throws InputError for whatever of it cannot be used; nothing is written but the cache.
 */
export async function openInputs(
  config: TrainConfig,
  progress: Progress,
  caches: "used" | "passed over" = "used",
): Promise<RunInputs> {
  const { onPhase, onWarning, signal } = progress;
  const tooMany = workersProblem(config.workers);
  if (tooMany !== undefined) throw new InputError("Cannot use this configuration", tooMany);
  await checkLinks(config, [config.initAdapter]);
  const opened = await openBase(config, onWarning);
  const { model, tokenizer, engine } = opened;
  const adapter = await openAdapter(config, model, onWarning);
  const template = await loadTemplate(config.template);
  const maxLength = lengthFor(config.maxLength, model);
  await listDataFiles([...config.data, ...(config.validationData ?? [])]); // before the base, which may take minutes
  const stamp = await baseStamp(config.model);
  const weights = await loadBase(opened, onPhase);
  const cacheDir = caches === "used" ? cacheDirOf(config, onWarning) : undefined;
  // Beside everything below: where it is not in the cache, it takes longer than to load the base.
  const hashing = cacheDir === undefined ? baseHash(config.model) : cachedBaseHash(config.model, cacheDir);
  hashing.catch(() => {}); // awaited below; what fails before that is reported instead
  const counts: DataCounts[] = [];
  const tokenise = async (paths: readonly string[], name: DataCounts["name"]) => {
    const request = { ...config, name, paths, template, maxLength, cacheDir };
    const data = await openData(tokenizer, request, progress);
    checkDropped(data.counts, data.prepared, config, model.contextLength);
    counts.push(data.counts);
    return data.prepared;
  };
  onPhase({ name: "reading data" });
  const train = await tokenise(config.data, "data");
  const { trainSamples, heldOut } = await holdOut(config, train, tokenise);
  const sizes = measureSamples(train.tokens);
  const cost = trainingCost(model, backwardLayers(adapter.layout));
  const planOf = ({ seed, batchSize, cellTokens, cellMultiple, dropLast }: Pick<TrainConfig, PlanKey>) => {
    const even = cellMultiple > 0 ? { multiple: cellMultiple, cost } : undefined;
    return createPlan({ ...sizes, samples: trainSamples, seed, batchSize, cellTokens, even, dropLast });
  };
  const plan = planOf(config);
  const totalSteps = totalStepsOf(config, plan.stepsPerEpoch);
  onPhase({ name: "hashing the base" });
  const base = await hashing;
  await checkUnchanged(config.model, stamp);
  signal.throwIfAborted();
  onPhase(undefined);
  return {
    model,
    weights: "folder" in weights ? { ...weights, base: { hash: base, stamp } } : weights,
    engine,
    weightBytes: await weightBytes(config.model, model, loadOptions(engine)),
    tokenizer,
    template,
    train,
    counts,
    heldOut,
    plan,
    planOf,
    totalSteps,
    maxCells: plan.maxCells,
    schedule: scheduleOf(config, plan.stepsPerEpoch, totalSteps),
    ...adapter,
    hashes: {
      base,
      data: heldOut?.set === "validation" ? `${train.tokens.hash}+${heldOut.tokens.hash}` : train.tokens.hash,
      tokenizer: tokenizer.hash,
      plan: plan.hash,
    },
  };
}

/** What was loaded must be what was hashed. */
async function checkUnchanged(folder: string, stamp: string): Promise<void> {
  if ((await baseStamp(folder)) === stamp) return;
  throw new InputError(`Cannot use the base in ${folder}`, "its files changed while they were read: try again");
}

/** Returns where tokens and the base's hash are kept; undefined, which is said, where there is no such place. */
function cacheDirOf({ cacheDir }: TrainConfig, onWarning: (message: string) => void): string | undefined {
  const folder = cacheDir ?? cacheFolder();
  if (folder === undefined) {
    onWarning("this user has no home folder: tokens are kept nowhere and made again by every run; give --cache-dir");
  }
  return folder;
}

async function openAdapter(
  config: TrainConfig,
  model: ModelConfig,
  onWarning: (message: string) => void,
): Promise<Pick<RunInputs, "adapterConfig" | "layout" | "initialParams">> {
  if (config.initAdapter !== undefined) {
    const {
      config: stored,
      shape,
      params,
      warnings,
    } = await loadAdapter(await adapterFolder(config.initAdapter, onWarning), model, {
      outputBias: config.outputBias,
    });
    for (const warning of warnings) onWarning(warning);
    return { adapterConfig: trainable(stored, config), layout: adapterLayout(shape, model), initialParams: params };
  }
  const adapterConfig = validateAdaptionPromptConfig(
    trainable(
      {
        peftType: "ADAPTION_PROMPT",
        targetModules: null,
        adapterLen: config.adapterLen,
        adapterLayers: config.adapterLayers ?? Math.max(1, model.layers - 2),
        taskType: "CAUSAL_LM",
        inferenceMode: false,
        baseModelNameOrPath: null,
        revision: null,
        autoMapping: null,
      },
      config,
    ),
    model,
  );
  checkAdapterSize(adapterConfig, model, config.workers);
  const { gateSharing, gateActivation, outputBias, seed, initStd } = config;
  const { adapterLen: promptLength, adapterLayers: adaptedLayers } = adapterConfig;
  const shape = { promptLength, adaptedLayers, gateSharing, gateActivation, outputBias };
  const layout = adapterLayout(shape, model);
  if (layout.base.hasOutputBias && outputBias === undefined) {
    onWarning("the base's output projection has a bias, which is added once; PEFT would add it twice (see outputBias)");
  }
  return { adapterConfig, layout, initialParams: initParameters(layout.table, seed, initStd) };
}

const trainable = (adapter: AdaptionPromptConfig, config: TrainConfig): AdaptionPromptConfig => ({
  ...adapter,
  inferenceMode: false,
  baseModelNameOrPath: config.model,
});

async function holdOut(
  config: TrainConfig,
  train: PreparedTokens,
  tokenise: (paths: readonly string[], name: DataCounts["name"]) => Promise<PreparedTokens>,
): Promise<{ trainSamples: readonly number[]; heldOut: HeldOut | undefined }> {
  const { validationData, valFraction, seed, cellTokens } = config;
  const { tokens, recordOf } = train;
  if (validationData !== undefined) {
    const own = await tokenise(validationData, "validation data");
    return { trainSamples: allSamples(tokens), heldOut: wholeSet("validation", own, cellTokens) };
  }
  if (valFraction === 0) return { trainSamples: allSamples(tokens), heldOut: undefined };
  const { train: trainSamples, validation: samples } = splitSamples(tokens, { seed, validation: valFraction });
  return {
    trainSamples,
    heldOut: { set: "train", tokens, recordOf, samples, cells: cellsOf(tokens, samples, cellTokens) },
  };
}
