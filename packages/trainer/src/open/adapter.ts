/** The adapter that a run trains: its shape on the base, and the numbers that training begins with. */
import {
  type AdapterLayout,
  type AdaptionPromptConfig,
  adapterLayout,
  defaultAdapterLayers,
  InputError,
  initParameters,
  type ModelConfig,
  partNumbers,
  settingsOf,
  type VisionShape,
  validateAdaptionPromptConfig,
} from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import { loadAdapter } from "@zerogate/core/node";
import { hubNameOf, type TrainConfig } from "@zerogate/run-config";
import { checkAdapterSize, checkVisionSize } from "../run/capacity.ts";
import { adapterPlace } from "./locate.ts";
import type { OpenedTower } from "./tower.ts";

export interface StartingAdapter {
  readonly adapterConfig: AdaptionPromptConfig;
  readonly layout: AdapterLayout;
  /** Where training starts: fresh, or a trained adapter's numbers. */
  readonly initialParams: Float32Array;
  /** What its images become; undefined for a text adapter. */
  readonly seen: SeenFeatures | undefined;
}

/** Returns the adapter of `initAdapter`, or a new one. Throws an InputError if the base cannot have it. */
export async function openAdapter(
  config: TrainConfig,
  model: ModelConfig,
  tower: OpenedTower | undefined,
  onWarning: (message: string) => void,
): Promise<StartingAdapter> {
  const { initAdapter } = config;
  if (initAdapter !== undefined) return await startFrom({ ...config, initAdapter }, model, tower, onWarning);
  const adapterConfig = validateAdaptionPromptConfig(
    trainable(
      {
        peftType: "ADAPTION_PROMPT",
        targetModules: null,
        adapterLen: config.adapterLen,
        adapterLayers: config.adapterLayers ?? defaultAdapterLayers(model),
        taskType: "CAUSAL_LM",
        revision: null,
        autoMapping: null,
      },
      config,
    ),
    model,
  );
  checkAdapterSize(adapterConfig, model, config.workers);
  const { outputBias, seed, initStd } = config;
  const { adapterLen: promptLength, adapterLayers: adaptedLayers } = adapterConfig;
  const vision = tower && { vision: tower.vision };
  const shape = { promptLength, adaptedLayers, ...settingsOf(config), outputBiasTimes: outputBias, ...vision };
  const layout = adapterLayout(shape, model);
  checkVisionSize(layout, config.workers);
  if (layout.base.hasOutputBias && outputBias === undefined) {
    onWarning("the base's output projection has a bias, which is added once; PEFT would add it twice (see outputBias)");
  }
  return { adapterConfig, layout, initialParams: initParameters(layout.table, seed, initStd), seen: tower?.seen };
}

/** A trained adapter; one that has seen no images yet gets a fresh projection, which changes nothing at first. */
async function startFrom(
  config: TrainConfig & { readonly initAdapter: string },
  model: ModelConfig,
  tower: OpenedTower | undefined,
  onWarning: (message: string) => void,
): Promise<StartingAdapter> {
  const { initAdapter, outputBias, seed, initStd } = config;
  const place = await adapterPlace(initAdapter, onWarning);
  const loaded = await loadAdapter(place, model, { outputBiasTimes: outputBias });
  for (const warning of loaded.warnings) onWarning(warning);
  const { shape, params, seen } = loaded;
  const adapterConfig = trainable(loaded.config, config);
  if (seen && !tower) {
    const needed = `it was trained with images of the tower ${seen.tower.nameOrPath ?? seen.tower.modelType}`;
    throw new InputError(`Cannot start from ${initAdapter}`, `${needed}: name it with --tower`);
  }
  if (seen && tower) checkSeen(initAdapter, seen, shape.vision, tower);
  const vision = seen ? shape.vision : tower?.vision;
  const layout = adapterLayout({ ...shape, ...(vision && { vision }) }, model);
  if (!tower || seen) return { adapterConfig, layout, initialParams: params, seen };
  if (config.visionParts === "frozen") {
    throw new InputError(
      `Cannot start from ${initAdapter}`,
      "it sees no images, and visionParts is frozen: give an adapter that does, or leave out --vision-parts",
    );
  }
  checkVisionSize(layout, config.workers);
  const initialParams = initParameters(layout.table, seed, initStd);
  initialParams.set(params); // what is trained for images stands behind the text adapter
  for (const part of layout.table) {
    // Queries of zero change nothing at first, as the projection of `global` starts.
    if (part.name === "visual_proj_norm.weight") partNumbers(part, initialParams).fill(0);
  }
  return { adapterConfig, layout, initialParams, seen: tower.seen };
}

/** What a key of a vision shape says, and the flag that decides it; that of features is the tower's. */
const visionKeys: Readonly<Record<string, readonly [what: string, flag?: string]>> = {
  fusion: ["the fusion", "--fusion"],
  featureSize: ["features of size"],
  projectionSize: ["a projection of size", "--projection-size"],
  embedSize: ["queries of width", "--vision-embed"],
  blocks: ["a number of blocks", "--vision-blocks"],
  heads: ["heads of blocks", "--vision-heads"],
  mlpSize: ["blocks with an MLP of", "--vision-mlp"],
  missingImage: ["a missing image as", "--missing-image"],
};

/** @throws InputError that lists how a tower and its features differ from those that an adapter was trained on. */
function checkSeen(
  initAdapter: string,
  seen: SeenFeatures,
  vision: VisionShape | undefined,
  { seen: own, vision: ownVision }: OpenedTower,
): void {
  const problems: string[] = [];
  const compare = (what: string, was: unknown, is: unknown, key: string) => {
    if (String(was) !== String(is))
      problems.push(`it was trained with ${what} ${String(was)}, not ${String(is)}: ${key}`);
  };
  const named = `--tower ${seen.tower.nameOrPath ?? "FOLDER"}`;
  if (seen.tower.sha256 !== undefined) compare("the tower of hash", seen.tower.sha256, own.tower.sha256, named);
  compare("several images as", seen.severalImages, own.severalImages, `--several-images ${seen.severalImages}`);
  compare("the features", seen.features, own.features, `--features ${seen.features.join(",")}`);
  compare("the feature norm", seen.featureNorm, own.featureNorm, `--feature-norm ${seen.featureNorm}`);
  const { channelOrder, exif } = seen.tower;
  compare("colours in the order", channelOrder, own.tower.channelOrder, `--channel-order ${channelOrder}`);
  compare("EXIF data", exif, own.tower.exif, `--exif ${exif}`);
  const is = new Map<string, unknown>(Object.entries(ownVision));
  for (const [key, was] of Object.entries(vision ?? {})) {
    const [what, flag] = visionKeys[key] ?? [];
    if (what === undefined || (key !== "fusion" && vision?.fusion !== ownVision.fusion)) continue;
    compare(what, was, is.get(key), flag === undefined ? named : `${flag} ${String(was)}`);
  }
  if (problems.length > 0) throw new InputError(`Cannot start from ${initAdapter}`, problems);
}

type Unplaced = Omit<AdaptionPromptConfig, "inferenceMode" | "baseModelNameOrPath">;

/** A base of the Hub is named as PEFT names it, with its commit, so that the adapter finds it on other machines too. */
function trainable(adapter: Unplaced, config: TrainConfig): AdaptionPromptConfig {
  const { id, commit } = hubNameOf(config.model) ?? { id: config.model, commit: null };
  return { ...adapter, inferenceMode: false, baseModelNameOrPath: id, revision: commit ?? adapter.revision };
}
