/** The adapter that a run trains: its shape on the base, and the numbers that training begins with. */
import {
  type AdapterLayout,
  type AdaptionPromptConfig,
  adapterLayout,
  initParameters,
  type ModelConfig,
  settingsOf,
  validateAdaptionPromptConfig,
} from "@zerogate/core";
import { loadAdapter } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { checkAdapterSize } from "../run/capacity.ts";
import { adapterPlace } from "./locate.ts";

export interface StartingAdapter {
  readonly adapterConfig: AdaptionPromptConfig;
  readonly layout: AdapterLayout;
  /** Where training starts: fresh, or a trained adapter's numbers. */
  readonly initialParams: Float32Array;
}

/** Returns the adapter of `initAdapter`, or a new one. Throws an InputError if the base cannot have it. */
export async function openAdapter(
  config: TrainConfig,
  model: ModelConfig,
  onWarning: (message: string) => void,
): Promise<StartingAdapter> {
  if (config.initAdapter !== undefined) {
    const {
      config: stored,
      shape,
      params,
      warnings,
    } = await loadAdapter(await adapterPlace(config.initAdapter, onWarning), model, {
      outputBiasTimes: config.outputBias,
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
  const shape = { promptLength, adaptedLayers, ...settingsOf(config), outputBiasTimes: outputBias };
  const layout = adapterLayout(shape, model);
  if (layout.base.hasOutputBias && outputBias === undefined) {
    onWarning("the base's output projection has a bias, which is added once; PEFT would add it twice (see outputBias)");
  }
  return { adapterConfig, layout, initialParams: initParameters(layout.table, seed, initStd) };
}

type Unplaced = Omit<AdaptionPromptConfig, "inferenceMode" | "baseModelNameOrPath">;

const trainable = (adapter: Unplaced, config: TrainConfig): AdaptionPromptConfig => ({
  ...adapter,
  inferenceMode: false,
  baseModelNameOrPath: config.model,
});
