/**
 * A kind of adapter says what is trained: which parts in which layers, what a pass makes of their numbers, and the chain
 * rule back. All else (optimizer, sums, files, comparisons) works on its table.
 */
import type { ImageInput } from "../../cell/tokens.ts";
import type { WideArithmetic } from "../../kernels/wide_linear.ts";
import type { DecoderModel } from "../../model/decoder.ts";
import type { AdapterPrompts, ImagePrompts } from "../../model/prompts.ts";
import type { TuningGradient, VectorsGradient } from "../../model/tuning_gradient.ts";
import type { AdaptedBase, AdapterLayout, AdapterShape } from "../layout.ts";
import { type ParameterTable, tableLength } from "../parameters.ts";

/** A method of training: its parts, what a pass makes of their numbers, and the chain rule back. */
export interface AdapterKind {
  readonly name: string;
  /** Returns the parts that an adapter of this shape trains on a base. */
  table(shape: AdapterShape, base: AdaptedBase): ParameterTable;
  /** Computes what a pass needs of each adapted layer from the current numbers. Runs in the engine's arena. */
  bind(adapter: AdapterState, model: DecoderModel): AdapterPrompts;
  /**
   * Computes what images do in each adapted layer. Runs in the engine's arena. Absent: the kind has no images.
   */
  bindImages?(adapter: AdapterState, model: DecoderModel, images: readonly ImageInput[]): ImagePrompts;
  /**
   * The chain rule of `bind` and `bindImages`: sets the gradient of the flat vector, which comes as zeros.
   */
  pullBack(bound: readonly BoundGradient[], adapter: AdapterState, gradient: Float32Array, more?: PullBackInput): void;
}

/** What the chain rule takes beside the gradients of layers. */
interface PullBackInput {
  /** What `bindImages` got. @default absent, if it was not called */
  readonly images?: readonly ImageInput[] | undefined;
  /** Linear maps in float64, as fast as the engine of the pass has them. @default core's own */
  readonly wide?: WideArithmetic | undefined;
  /** Of what `bind` tunes. @default absent, if it tunes nothing */
  readonly tuning?: TuningGradient | undefined;
}

/** What a pass says of one adapted layer, of what `bind` made of it. */
export interface BoundGradient {
  readonly layer: number;
  /** Of the rows that were projected to keys and values. */
  readonly dprompt_KD: Float32Array;
  /** Of the effective gates, images included. */
  readonly dgate_H: Float32Array;
  /** Of the vectors that tune keys and values, through its prompts. @default absent, if there are none */
  readonly dkeysValues?: VectorsGradient | undefined;
  /** Of the rows `[N·K, D]` that `bindImages` made keys and values of. @default absent, if it was not called */
  readonly dimages?: Float32Array | undefined;
}

/** An adapter and its numbers. */
export interface AdapterState {
  readonly layout: AdapterLayout;
  /** Flat as the layout's table says; may lie over shared memory and is only read by passes. */
  readonly params: Float32Array;
  /** For an adapter of a kind of the caller's own. @default the kind of this package that `layout` names */
  readonly kind?: AdapterKind;
}

/** The layout of an adapter of a kind, on this base. */
export function layoutOf(kind: AdapterKind, shape: AdapterShape, base: AdaptedBase): AdapterLayout {
  const table = kind.table(shape, base);
  return { kind: kind.name, shape, base, table, length: tableLength(table) };
}
