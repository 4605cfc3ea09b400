/** How images enter an adapter: what is trained for them, what they do in a pass, and the chain rule back. */
import type { ImageInput } from "../../cell/tokens.ts";
import type { WideArithmetic } from "../../kernels/wide_linear.ts";
import type { DecoderModel } from "../../model/decoder.ts";
import type { ImagePrompts } from "../../model/prompts.ts";
import type { AdapterState, BoundGradient } from "../kinds/kind.ts";
import type { AdaptedBase } from "../layout.ts";
import type { TrainedPart } from "../parameters.ts";

/** A fusion with its sizes. */
export interface Fusion {
  /** Returns what is trained for images, behind the prompts and gates. @param K prompts of a layer. */
  parts(base: AdaptedBase, K: number): readonly Omit<TrainedPart, "offset">[];
  /** Says what it takes, in place of an image that does not fit; undefined for one that does. */
  misfit(image: ImageInput, adapter: AdapterState): string | undefined;
  /** Computes what images do in each adapted layer. Runs in the engine's arena. */
  bind(adapter: AdapterState, model: DecoderModel, images: readonly ImageInput[]): ImagePrompts;
  /** Adds what images say of the flat vector to its gradient, in which that of the adapter's own prompts and gates is. */
  pullBack(
    bound: readonly BoundGradient[],
    adapter: AdapterState,
    images: readonly ImageInput[],
    gradient: Float32Array,
    wide: WideArithmetic,
  ): void;
}
