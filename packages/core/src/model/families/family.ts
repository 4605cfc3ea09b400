/** What a family of models is: how its config.json reads, what its layers are built of and what its tensors are called. */
import type { JsonFields } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";
import type { WeightSource } from "../weight_sources.ts";

/** What the layers of a family are built of. All else about a model is a number or a switch in `ModelConfig`. */
export interface Architecture {
  /** RMSNorm, or LayerNorm with a bias. */
  readonly norm: "rms" | "layer";
  /** Stands between the two linear maps of the MLP, by the name of its operation; `gelu` and `geluErf` have no gate. */
  readonly activation: "swiglu" | "geglu" | "gelu" | "geluErf";
  /** Queries and keys are rotated, or a table of positions is added to the embedding. */
  readonly positions: "rotary" | "learned";
  /** Prompts' share goes through the output projection, or is added to what comes out of it (spec §3.1, §3.2). */
  readonly promptsJoin: "before-output" | "after-output";
  /** Path of an attention module in a Hugging Face model, which PEFT wraps: `root.layers.0.attention`. */
  readonly modules: { readonly root: string; readonly layers: string; readonly attention: string };
}

/** A config.json being read. */
export interface ConfigReading {
  readonly fields: JsonFields;
  /** Those of `fields`: if there are any at the end, the result is not used. */
  readonly problems: string[];
  /** Settings without a meaning in this family; the reader warns of them. */
  readonly unused: string[];
}

/**
 * One family. Add a file beside this one and a row in `families.ts`; a test with golden values proves it. `modelType` is
 * the `model_type` of Hugging Face, and names the family in `ModelConfig`.
 */
export interface Family {
  readonly modelType: string;
  /** transformers' classes of its language model, with a head and bare; `architectures` of other ones gets a warning. */
  readonly classes: readonly string[];
  readonly architecture: Architecture;
  /** Keys in which a null is no value, though it is one in other families. */
  readonly notNull?: readonly string[];
  /** Reads every key that changes the arithmetic, or reports it: keys that it does not ask for go through `hf_keys.ts`. */
  read(reading: ConfigReading): Omit<ModelConfig, "modelType">;
  /** All weights that this model needs, in the order of use in a forward pass. */
  weights(config: ModelConfig): WeightSource[];
  /**
   * The head's name in files.
   * @default "lm_head.weight"
   */
  readonly headName?: string;
  /** Whether a tensor that is no weight holds nothing trained, as a causal mask: files may have it. */
  isBuffer?(name: string, shape: readonly number[]): boolean;
}
