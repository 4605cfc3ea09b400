/** The numbers and switches of a decoder; parsed from a Hugging Face `config.json`. */

/** How rotary angles are stretched beyond the trained context (names as in transformers' `rope_type`). */
export type RopeScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | { readonly type: "dynamic"; readonly factor: number; readonly originalContext: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalContext: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Multiplies cosines and sines; transformers' `attention_factor` after its defaults are applied. */
      readonly attentionFactor: number;
      readonly truncate: boolean;
    }
  | {
      readonly type: "longrope";
      /** Divisors of the frequencies, `[rotaryDim / 2]`: of sequences within `originalContext`, and of longer ones. */
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalContext: number;
      /** Multiplies cosines and sines; transformers' `attention_factor` after its defaults are applied. */
      readonly attentionFactor: number;
    };

/** One rotation of queries and keys. */
export interface RopeConfig {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
}

/** The experts of an MLP: a router chooses some of them for each token. */
export interface ExpertsConfig {
  /** E. */
  readonly count: number;
  readonly perToken: number;
  /** F of one expert. */
  readonly intermediateSize: number;
  /** Whether the weights of the chosen ones are divided by their sum. */
  readonly isNormalized: boolean;
  /** Layers that have one MLP, of the model's own `intermediateSize`, instead. */
  readonly denseLayers: readonly number[];
}

/** Layers that have a gated delta net in place of attention (engine `gatedDelta`). */
export interface DeltaConfig {
  readonly layers: readonly number[];
  readonly keyHeads: number;
  /** A multiple of `keyHeads`. */
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Inputs that the convolution spans. */
  readonly taps: number;
}

/** Queries at position p are multiplied by 1 + beta · ln(1 + ⌊p / originalContext⌋) after their rotation. */
export interface QueryGrowth {
  readonly beta: number;
  readonly originalContext: number;
}

/** A decoder's architecture, as `parseModelConfig` reads it from config.json: plain data that crosses to threads. */
export interface ModelConfig {
  /** The family: `modelType` of a file of `families/`. */
  readonly modelType: string;
  /**
   * `model_type` of the larger model that this is the language model of.
   * @default it is a model by itself
   */
  readonly inside?: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly contextLength: number;
  readonly normEps: number;
  /** Without meaning if positions are learned, as is `ropeScaling`. */
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /**
   * Numbers of each head that rotate, even; the others pass.
   * @default headDim
   */
  readonly rotaryDim?: number;
  /**
   * Layers whose queries and keys are not rotated.
   * @default none
   */
  readonly unrotatedLayers?: readonly number[];
  /**
   * Attention and MLP read the same input, and both are added to it: x + attention(x) + mlp(x).
   * @default false
   */
  readonly parallelResidual?: boolean;
  /**
   * Stands in the MLP, if it is not that of the family: `architectureOf` knows.
   * @default that of the family
   */
  readonly activation?: "gelu";
  /** Tokens back that a query sees, itself included; 0 = all. */
  readonly slidingWindow: number;
  /** The layers that the window holds for; undefined: all. */
  readonly slidingLayers: readonly number[] | undefined;
  /** Multiplies the embedding of a token, not its row in a tied head. */
  readonly embedScale: number;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  /**
   * Queries and keys are normed between projection and rotation: each head by itself, or all heads at once.
   * @default neither
   */
  readonly qkNorm?: "head" | "all-heads";
  /**
   * Where RMSNorms stand beside those in front of attention and MLP: `after` both of them as well, or `after-only`, without those in
   * front: x + norm(attention(x)).
   * @default neither
   */
  readonly outputNorms?: "after" | "after-only";
  /**
   * What scores of attention are multiplied with.
   * @default 1 / √headDim
   */
  readonly scoreScale?: number;
  /**
   * Soft cap of scores of attention, of prompts' too.
   * @default none
   */
  readonly scoreCap?: number;
  /**
   * Soft cap of logits.
   * @default none
   */
  readonly logitCap?: number;
  /**
   * What logits are multiplied with.
   * @default 1
   */
  readonly logitScale?: number;
  /**
   * Multiplies what attention and MLP add to the stream.
   * @default 1
   */
  readonly residualScale?: number;
  /**
   * What MLPs are made of, if a router chooses among experts.
   * @default one MLP a layer
   */
  readonly experts?: ExpertsConfig;
  /**
   * What some layers have in place of attention.
   * @default all attend
   */
  readonly deltaNet?: DeltaConfig;
  /**
   * What attention gives is multiplied by the logistic function of gates, which the projection of queries makes too, behind the queries.
   * @default false
   */
  readonly outputGate?: boolean;
  /**
   * How queries grow with their position, if they do.
   * @default they do not
   */
  readonly queryGrowth?: QueryGrowth;
  /**
   * Rotation of layers with a window, if they have one of their own.
   * @default that of all layers
   */
  readonly slidingRope?: RopeConfig;
  /** Of the output projection of the attention. */
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
}
