/** What the layers of each supported model type are built of. All else about a model is a number or a switch in `ModelConfig`. */

export interface Architecture {
  /** RMSNorm, or LayerNorm with a bias. */
  readonly norm: "rms" | "layer";
  /** What stands between the two linear maps of the MLP, by the name of its operation; `gelu` has no gate. */
  readonly activation: "swiglu" | "geglu" | "gelu";
  /** Queries and keys are rotated, or a table of positions is added to the embedding. */
  readonly positions: "rotary" | "learned";
  /** Whether what the prompts add goes through the output projection, or is added to what comes out of it (spec §3.1, §3.2). */
  readonly promptsJoin: "before-output" | "after-output";
  /** Path of an attention module in a Hugging Face model, which is what PEFT wraps: `root.layers.0.attention`. */
  readonly modules: { readonly root: string; readonly layers: string; readonly attention: string };
}

const llama: Architecture = {
  norm: "rms",
  activation: "swiglu",
  positions: "rotary",
  promptsJoin: "before-output",
  modules: { root: "model", layers: "layers", attention: "self_attn" },
};

/** `model_type` of a Hugging Face config. */
export type ModelType = "llama" | "mistral" | "qwen2" | "gemma" | "gpt2";

/** PEFT knows llama, mistral and gpt2; prompts of the others join as in llama. */
export const architectures: Readonly<Record<ModelType, Architecture>> = {
  llama,
  mistral: llama,
  qwen2: llama,
  gemma: { ...llama, activation: "geglu" },
  gpt2: {
    norm: "layer",
    activation: "gelu",
    positions: "learned",
    promptsJoin: "after-output",
    modules: { root: "transformer", layers: "h", attention: "attn" },
  },
};

export function architectureOf({ modelType }: { readonly modelType: ModelType }): Architecture {
  return architectures[modelType];
}
