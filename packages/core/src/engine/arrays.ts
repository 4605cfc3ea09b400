/** What the operations of an engine take and give; shape suffixes as in engine.ts. */

/** How a number is stored in a checkpoint. */
export type DType = "f32" | "bf16" | "f16";

/** How an engine may be given a linear map: as a checkpoint stores it, or in fewer bits with scales. */
export type WeightDType = DType | ScaledDType;
/** Integers or floats E4M3 with a scale a row (formats/int8.ts, fp8.ts), or blocks of four bits (formats/four_bits.ts). */
export type ScaledDType = "i8" | "f8" | "nf4" | "i4";

/** Numbers in host memory, row-major. `bytes` may lie over a SharedArrayBuffer: engines only read it. */
export interface HostTensor {
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Numbers that lie in a file, `offset` bytes behind its start; a multiple of the size of one number. */
export interface FileTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly path: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** Float32 numbers that live wherever the engine lives. */
export interface DeviceArray {
  readonly length: number;
}

/** A frozen weight on the engine's device: `[rows, columns]` for a linear map y = x·Wᵀ, `[rows]` for a norm or bias. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
}

/** Keys and values of the tokens that one sequence has seen in one layer, at most `capacity` of them. */
export interface KvCache {
  readonly capacity: number;
}

/** Sizes of a gated delta net: J key heads, which N value heads share evenly, and how many inputs its convolution spans. */
export interface DeltaSize {
  readonly T: number;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly taps: number;
}

/** Frozen weights of a gated delta net: `[C, taps]` of the convolution, the oldest input first; α = exp(−e^rate · softplus(a + bias)). */
export interface DeltaWeights {
  readonly conv_CL: Matrix;
  readonly rate_N: Matrix;
  readonly bias_N: Matrix;
}

/** Channels of queries, keys and values `[T, C]`, and b of all value heads, then a, `[T, 2·N]`. */
export interface DeltaInput {
  readonly x_TC: DeviceArray;
  readonly gates_T2N: DeviceArray;
}

/** The state of each sequence and how many tokens it has seen; at 0 it counts as empty. */
export interface DeltaPast {
  readonly states: readonly KvCache[];
  readonly starts: Int32Array;
}

/** Half-open range of rows, for example the key and value rows of a merged QKV weight, or the tokens of a sequence. */
export type RowRange = readonly [from: number, to: number];

/**
 * Prompts that a range of tokens attends to. The sets of one call may share keys and values, at other gates; their tokens
 * ascend and do not overlap. Tokens of no set, and heads whose gate is 0, keep the bits that they have without prompts.
 */
export interface PromptSet {
  /** Keys then values of prompts, `[R, Y]`; `rows` are this set's. */
  readonly kv_RY: DeviceArray;
  readonly rows: RowRange;
  readonly tokens: RowRange;
  /** The effective gate of each query head: sharing and activation are already applied. */
  readonly gate_H: Float32Array;
}

/** Gradients of one set: of its own keys and values, and of its effective gates. Sums over tokens begin at its first token. */
export interface PromptSetGradient {
  readonly dkv_KY: DeviceArray;
  readonly dgate_H: DeviceArray;
}

/** Labelled tokens of one cell in `headLoss`: how many, and what their gradient is multiplied with. */
export interface LossCell {
  readonly R: number;
  readonly scale: number;
}

/**
 * In which order `linear` adds up: an engine may have another one for few rows than for many. `alone` is the order of a row that is
 * computed alone, `packed` that of many rows, each for any number of them; `any` is the faster one.
 */
export type LinearOrder = "any" | "alone" | "packed";

/** Sizes of one attention block. `window` is how many tokens back a query sees, itself included; 0 means all. */
export interface AttentionSize {
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly d: number;
  readonly window: number;
  /** Makes cap · tanh(s / cap) of each score s, before the mask. @default none */
  readonly cap?: number | undefined;
  /** Leading tokens of each sequence whose output nobody reads and has no gradient: an engine may leave their queries out. @default none */
  readonly skips_S?: Int32Array | undefined;
}
