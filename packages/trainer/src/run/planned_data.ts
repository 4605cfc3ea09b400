/** What a run will train on, step by step: its data as tokens, what is held out, the plan of cells, the learning rate. */
import type { ModelConfig } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import { backwardLayers, type LearningRateSchedule, trainingCost } from "@zerogate/core/training";
import {
  beginningsOf,
  createPlan,
  measureSamples,
  type Plan,
  type PreparedTokens,
  type SampleSizes,
  splitSamples,
  type Template,
  type Tokenizer,
} from "@zerogate/data";
import { dataPaths, type TrainConfig } from "@zerogate/run-config";
import type { StartingAdapter } from "../open/adapter.ts";
import { allSamples, cellsOf, type HeldOut, lengthFor, openData, type Progress, wholeSet } from "../open/data.ts";
import type { SeenTokens } from "../open/images.ts";
import type { OpenedTower } from "../open/tower.ts";
import { checkDropped, type DataCounts } from "./data_counts.ts";
import { leakWarning } from "./leaks.ts";
import { mixtureOf, partsOf } from "./mixture.ts";
import { scheduleOf, totalStepsOf } from "./run_length.ts";

type PlanKey = "seed" | "batchSize" | "cellTokens" | "cellMultiple" | "dropLast";

export interface PlannedData {
  readonly train: PreparedTokens<SampleTokens>;
  /** Of `data`, and of `validationData` if it is set. */
  readonly counts: readonly DataCounts[];
  readonly heldOut: HeldOut | undefined;
  readonly plan: Plan;
  /** Of the samples of `train`, and what they begin alike with if cells compute it once. */
  readonly sizes: SampleSizes;
  /** The plan of the same samples under other settings. */
  readonly planOf: (config: Pick<TrainConfig, PlanKey>) => Plan;
  readonly totalSteps: number;
  readonly schedule: LearningRateSchedule;
  /** Bytes of the features of images, and of the tower that made them. @default a text run has none */
  readonly imageBytes?: ImageBytes | undefined;
}

/** Bytes that seeing images takes. */
export interface ImageBytes {
  readonly features: number;
  readonly tower: number;
}

export interface DataPlanRequest {
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly layout: StartingAdapter["layout"];
  /** Folder of the token cache; undefined: tokens are made anew and kept nowhere. */
  readonly cacheDir: string | undefined;
  /** What sees the images of records; undefined in a text run. */
  readonly tower: OpenedTower | undefined;
}

/** Reads the data and plans the run. Throws an InputError for data that cannot be used or a plan without a step. */
export async function planData(
  config: TrainConfig,
  request: DataPlanRequest,
  progress: Progress,
): Promise<PlannedData> {
  const { model, tokenizer, template, layout, cacheDir, tower } = request;
  const maxLength = lengthFor(config.maxLength, model);
  const counts: DataCounts[] = [];
  const tokenise = async (paths: readonly string[], name: DataCounts["name"]) => {
    const split = name === "validation data" ? "val" : "train";
    const data = await openData(
      tokenizer,
      {
        ...config,
        split,
        name,
        paths,
        ...(name === "data" && { parts: await partsOf(config, tokenizer) }),
        template,
        maxLength,
        cacheDir,
        tower,
        memoryBytes: 1e6 * config.tokenMemory,
      },
      progress,
    );
    checkDropped(data.counts, data.prepared, config, model.contextLength);
    counts.push(data.counts);
    return data;
  };
  progress.onPhase({ name: "reading data" });
  const opened = await tokenise(dataPaths(config.data), "data");
  const train = opened.prepared;
  const mixture = mixtureOf(config.data, train.recordOf, opened.recordEnds);
  const { trainSamples, heldOut } = await holdOut(config, opened, tokenise);
  const leak = leakWarning(config, train, trainSamples, heldOut);
  if (leak !== undefined) progress.onWarning(leak);
  const beginnings = config.sharedBeginnings ? beginningsOf(train.tokens) : undefined;
  const sizes = { ...measureSamples(train.tokens), beginnings };
  const cost = trainingCost(model, backwardLayers(layout));
  const planOf = ({ seed, batchSize, cellTokens, cellMultiple, dropLast }: Pick<TrainConfig, PlanKey>) => {
    const even = cellMultiple > 0 ? { multiple: cellMultiple, cost } : undefined;
    return createPlan({ ...sizes, samples: trainSamples, seed, batchSize, cellTokens, even, dropLast, mixture });
  };
  const plan = planOf(config);
  const totalSteps = totalStepsOf(config, plan.stepsPerEpoch);
  const schedule = scheduleOf(config, plan.stepsPerEpoch, totalSteps);
  const imageBytes = tower && {
    features: featureBytes(train) + (heldOut?.set === "validation" ? featureBytes(heldOut) : 0),
    tower: tower.tower.image.bytes.byteLength,
  };
  return { train, counts, heldOut, plan, sizes, planOf, totalSteps, schedule, imageBytes };
}

const featureBytes = ({ tokens }: { readonly tokens: SampleTokens }): number =>
  tokens.images?.rows.values.byteLength ?? 0;

async function holdOut(
  config: TrainConfig,
  { prepared: train, imagesOf }: SeenTokens<SampleTokens>,
  tokenise: (paths: readonly string[], name: DataCounts["name"]) => Promise<SeenTokens<SampleTokens>>,
): Promise<{ trainSamples: Int32Array; heldOut: HeldOut | undefined }> {
  const { validationData, valFraction, seed, cellTokens } = config;
  const { tokens, recordOf, images } = train;
  if (validationData !== undefined) {
    const { prepared: own } = await tokenise(validationData, "validation data");
    return { trainSamples: allSamples(tokens), heldOut: wholeSet("validation", own, cellTokens) };
  }
  if (valFraction === 0) return { trainSamples: allSamples(tokens), heldOut: undefined };
  const { train: trainSamples, validation: samples } = splitSamples(tokens, {
    seed,
    validation: valFraction,
    imagesOf,
  });
  return {
    trainSamples,
    heldOut: { set: "train", tokens, recordOf, images, samples, cells: cellsOf(tokens, samples, cellTokens) },
  };
}
