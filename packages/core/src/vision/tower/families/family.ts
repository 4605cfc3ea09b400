/** What a family of towers is: the names of its tensors, and what its config means when it says nothing. */
import type { PreprocessorFamily } from "../../preprocess_config.ts";

/**
 * Names of tensors behind the prefix that all of a tower's have (`vision_model.`, `vit.`, none, or that of a larger model);
 * maps and norms without `.weight` and `.bias`.
 */
interface TowerNames {
  /** Patches to tokens; `[W, 3, p, p]`. */
  readonly patches: string;
  readonly hasPatchBias: boolean;
  /** A tensor of `[M, W]` numbers, whatever its shape. */
  readonly positions: string;
  /** A tensor of W numbers; undefined if there is no class token. */
  readonly classToken: string | undefined;
  /** A norm before the first layer; undefined if there is none. */
  readonly preNorm: string | undefined;
  /** In front of a layer's number. */
  readonly layers: string;
  readonly attnNorm: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  readonly mlpNorm: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm: string;
  /** A map to the space that texts share, beside the prefix, not behind it; undefined if the family has none. */
  readonly projection: string | undefined;
  /** The attention that pools tokens; undefined if the family has none. */
  readonly head: string | undefined;
}

/** One family. */
export interface TowerFamily {
  /** Names the family in `TowerConfig`. */
  readonly name: PreprocessorFamily;
  /** Of its config.json. */
  readonly modelType: string;
  readonly names: TowerNames;
  readonly defaults: { readonly patchSize: number; readonly normEps: number; readonly activation: string };
}
