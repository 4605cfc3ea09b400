/** What an adapter is made from when it is added to a model: a trained one's three parts, or the config of a fresh one. */
import { InputError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { type AdaptionPromptConfig, validateAdaptionPromptConfig } from "./files/config.ts";
import type { SeenFeatures } from "./files/vision_config.ts";
import { adapterLayout } from "./kinds/adaption_prompt.ts";
import type { AdapterState } from "./kinds/kind.ts";
import type { AdapterShape, OutputBias } from "./layout.ts";
import { initParameters } from "./parameters.ts";
import { type AdapterSettings, settingsOf } from "./settings.ts";

/** An adapter under a name of an `AdaptionPromptModel`: its layout, its numbers, and the config that PEFT would store. */
export interface Adapter extends AdapterState {
  readonly config: AdaptionPromptConfig;
  /** What its images become. @default none: a text adapter */
  readonly seen?: SeenFeatures | undefined;
}

/**
 * A trained adapter, as `loadAdapter` returns it. The numbers mean nothing without the shape that they were trained in: the
 * same ones under another gate are another adapter, so the three stay together.
 */
export interface TrainedAdapter {
  readonly config: AdaptionPromptConfig;
  readonly shape: AdapterShape;
  /** Flat as `AdapterLayout` says; taken over, not copied. */
  readonly params: Float32Array;
  /** What its images become. @default none: a text adapter */
  readonly seen?: SeenFeatures | undefined;
}

/** Of a fresh adapter, besides its config. */
export interface NewAdapterOptions extends Partial<AdapterSettings> {
  /** How often a base's output bias is added to what attention returns. @default "once" */
  readonly outputBiasTimes?: OutputBias | undefined;
  /** Of the random prompts: any safe integer. @default 0 */
  readonly seed?: number;
  /** Never: the numbers of a trained adapter come with their shape, see `TrainedAdapter`. @default absent */
  readonly params?: never;
}

/** Throws a TypeError for params without their shape. */
export function freshAdapter(
  name: string,
  config: AdaptionPromptConfig,
  options: NewAdapterOptions,
  model: ModelConfig,
): Adapter {
  if (options.params !== undefined) {
    const way = `pass what loadAdapter returns: addAdapter("${name}", await loadAdapter(folder, config))`;
    throw new TypeError(
      `Cannot add adapter "${name}": its params come without the shape that says what they mean, ${way}`,
    );
  }
  const { outputBiasTimes, seed = 0 } = options;
  const checked = validateAdaptionPromptConfig(config, model);
  const { adapterLen: promptLength, adapterLayers: adaptedLayers } = checked;
  const layout = adapterLayout({ promptLength, adaptedLayers, ...settingsOf(options), outputBiasTimes }, model);
  return { config: checked, layout, params: initParameters(layout.table, seed) };
}

/** Throws an `InputError` if config, shape, params and model do not belong together. */
export function trainedAdapter(
  name: string,
  { config, shape, params, seen }: TrainedAdapter,
  options: NewAdapterOptions,
  model: ModelConfig,
): Adapter {
  const attempt = `Cannot add adapter "${name}"`;
  if (shape === undefined) throw new TypeError(`${attempt}: its params come without their shape, pass both`);
  if (Object.keys(options).length > 0) {
    throw new TypeError(
      `${attempt}: ${Object.keys(options).join(", ")} is for fresh adapters, a trained one has its own`,
    );
  }
  const checked = validateAdaptionPromptConfig(config, model);
  const { promptLength, adaptedLayers, gateSharing } = shape;
  if (checked.adapterLen !== promptLength || checked.adapterLayers !== adaptedLayers) {
    const says = `its config says K=${checked.adapterLen}, L=${checked.adapterLayers}`;
    throw new InputError(
      attempt,
      `${says}, its shape K=${promptLength}, L=${adaptedLayers}: take both from one adapter`,
    );
  }
  const layout = adapterLayout(shape, model);
  if (params.length !== layout.length) {
    const found = `expected ${layout.length} numbers for K=${promptLength}, L=${adaptedLayers}`;
    throw new InputError(attempt, `${found} and ${gateSharing} gates, got ${params.length}`);
  }
  return { config: checked, layout, params, ...(seen && { seen }) };
}
