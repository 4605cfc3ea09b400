/** What an adapter is, without its numbers: its kind, its shape, what matters of its base, and the table that follows. */
import type { ModelConfig } from "../model/config.ts";
import { architectureOf, isKnownToPeft } from "../model/families/families.ts";
import type { Architecture } from "../model/families/family.ts";
import { type ParameterTable, trainedLayers } from "./parameters.ts";
import type { AdapterSettings } from "./settings.ts";

/**
 * How often an adapted layer adds the bias of its output projection, if the base has one there. `once`: gates of zero
 * give the base. `twice` is what PEFT computes: it projects what the prompts add by itself, bias included (spec §3.1).
 */
export type OutputBias = "once" | "twice";

/**
 * What a text without an image gets: nothing, as if there were no images; features of zeros (`global` only); or what the tower
 * makes of an image whose numbers are all zero, which the caller gives (`ImageRows.missing`).
 */
export type MissingImage = "none" | "zeros" | "zero-image";

/** How images enter an adapter. */
export type VisionShape = ProjectionShape | QueryShape;

/** `global` (LLaMA-Adapter v1): a projection of an image's features is added to all prompts of every adapted layer. */
export interface ProjectionShape {
  readonly fusion: "global";
  /** Numbers that describe one image, C. */
  readonly featureSize: number;
  /** Units between the two maps of the projection, h. */
  readonly projectionSize: number;
  readonly missingImage: MissingImage;
}

/** `query` (LLaMA-Adapter V2, multimodal): a transformer makes of an image's tokens a vector for each prompt of a layer. */
export interface QueryShape {
  readonly fusion: "query";
  /** Numbers of a token, C. */
  readonly featureSize: number;
  /** Width of the transformer, E. */
  readonly embedSize: number;
  readonly blocks: number;
  /** Heads of a block, which divide E. */
  readonly heads: number;
  /** Units of the MLP of a block. */
  readonly mlpSize: number;
  /** Of the norms inside of blocks, and of those around them. */
  readonly blockEps: number;
  readonly normEps: number;
  readonly missingImage: Exclude<MissingImage, "zeros">;
}

/** The linear maps of a layer that can be tuned, in the order of their parts. */
export const tunableMaps = ["q", "k", "v", "o", "gate", "up", "down"] as const;

/** A linear map of a layer that can be tuned. */
export type TunableMap = (typeof tunableMaps)[number];

/** What an adapter tunes of the base itself, in all layers (LLaMA-Adapter V2, arXiv:2304.15010). */
export interface TuningShape {
  /** The maps with trained vectors. */
  readonly maps: readonly TunableMap[];
  /** `scale`: y = scale ∘ (W·x + b₀ + bias), a factor and a bias for each output. `bias`: a bias alone. */
  readonly vectors: "scale" | "bias";
  /** Whether weights of norms are trained, those of the final one too. */
  readonly norms: boolean;
  /** Whether the head has such vectors too. @default false */
  readonly head?: boolean | undefined;
}

/** What somebody chooses of an adapter; settings that are not given are those of PEFT. */
export interface ShapeChoice extends Partial<AdapterSettings> {
  /** Prompt tokens per adapted layer: `adapter_len`, K. */
  readonly promptLength: number;
  /** Adapted layers, counted from the output side: `adapter_layers`, L. */
  readonly adaptedLayers: number;
  /** Without meaning on a base that has no such bias. @default "once" */
  readonly outputBiasTimes?: OutputBias | undefined;
  /** What it trains for images. @default nothing: a text adapter */
  readonly vision?: VisionShape | undefined;
  /** What it tunes of the base itself. @default nothing: prompts and gates alone */
  readonly tuning?: TuningShape | undefined;
}

/** What an adapter is, its settings complete. */
export type AdapterShape = ShapeChoice & AdapterSettings;

/** What an adapter depends on in its base. */
export interface AdaptedBase {
  /** Decoder layers, N. */
  readonly layers: number;
  /** Those that have keys of their own, to which prompts can attach, ascending. @default all */
  readonly attentionLayers?: readonly number[] | undefined;
  /** D. */
  readonly hiddenSize: number;
  /** Query heads, H. */
  readonly heads: number;
  /** What its modules are called in adapter files; the root is empty if only a file is known, which does not name it. */
  readonly modules: Architecture["modules"];
  /** Whether there is an output bias that prompts could add twice. */
  readonly hasOutputBias: boolean;
  /** Outputs of its linear maps and its head, for adapters that tune them. @default not known */
  readonly outputs?: Readonly<Record<TunableMap | "head", number>> | undefined;
  /** The rule by which prompts attach to a base that PEFT does not know. @default PEFT's own way, or not known */
  readonly attachment?: Attachment | undefined;
}

/**
 * How prompts attach to a base that PEFT does not know. `1`: they take the way of the layer's own keys and values, norms included,
 * except the rotation; queries, scale and soft cap are the layer's; they join before what follows the weighted sum.
 */
export type Attachment = "1";

/** What an adapter needs to know of a base. */
export type AdaptedModel = Pick<
  ModelConfig,
  "modelType" | "layers" | "hiddenSize" | "heads" | "outputBias" | "outputNorms" | "residualScale" | "deltaNet"
>;

/**
 * Picks from a model's config what adapters depend on.
 *
 * @example
 * adaptedBase(config).modules.attention; // "self_attn"
 */
export function adaptedBase({
  modelType,
  layers,
  hiddenSize,
  heads,
  outputBias,
  outputNorms,
  residualScale = 1,
  deltaNet,
}: AdaptedModel): AdaptedBase {
  const { modules, promptsJoin } = architectureOf({ modelType });
  // PEFT's second bias would be added behind what these bases do to the output; PEFT knows none of them.
  const isPlain = outputNorms === undefined && residualScale === 1;
  const hasOutputBias = outputBias && promptsJoin === "before-output" && isPlain;
  const known = isKnownToPeft({ modelType });
  const attentionLayers = deltaNet && adaptableLayers({ layers, deltaNet });
  const base = { layers, hiddenSize, heads, modules, hasOutputBias };
  return { ...base, ...(attentionLayers && { attentionLayers }), ...(!known && { attachment: "1" }) };
}

/**
 * Returns the layers of a base to which prompts can attach, ascending: those that attend. A gated delta net has no keys for them.
 *
 * @example
 * adaptableLayers(config).length; // 32
 */
export function adaptableLayers({ layers, deltaNet }: Pick<ModelConfig, "layers" | "deltaNet">): readonly number[] {
  return Array.from({ length: layers }, (_, i) => i).filter((i) => !deltaNet?.layers.includes(i));
}

/**
 * How many layers a run adapts that does not say: all but two of those that can be, as LLaMA-Adapter's 30 of 32.
 *
 * @example
 * defaultAdapterLayers(config); // 30
 */
export function defaultAdapterLayers(model: Pick<ModelConfig, "layers" | "deltaNet">): number {
  return Math.max(1, adaptableLayers(model).length - 2);
}

/** Returns what the adapted modules of a base are called, for people: `layers.{i}.self_attn`. */
export function moduleNames({ modules }: Pick<AdaptedBase, "modules">): string {
  return `${modules.layers}.{i}.${modules.attention}`;
}

/** Plain data: crosses to threads and processes as it is. */
export interface AdapterLayout {
  /** The name of its kind. */
  readonly kind: string;
  /** Complete: `outputBiasTimes` is undefined if the base has none that could be added twice. */
  readonly shape: AdapterShape;
  readonly base: AdaptedBase;
  readonly table: ParameterTable;
  /** Numbers in the flat vector. */
  readonly length: number;
}

/** Layers that a backward pass goes through: from the top down to the lowest that has trained parts. */
export function backwardLayers({ base, table }: Pick<AdapterLayout, "base" | "table">): number {
  return base.layers - (trainedLayers(table)[0] ?? base.layers);
}
