/**
 * The Engine: some twenty-five operations over opaque arrays, forward and hand-derived backward.
 * `reference.ts` is the plain TypeScript engine that every other engine must agree with, `operations.ts` the same list as data.
 *
 * Shape suffixes, used by every engine, kernel and model file:
 *   T packed tokens of one cell · D hidden size · H query heads · G key/value heads · d head dimension
 *   Q = H·d · Y = 2·G·d (keys then values) · X = Q + Y (queries, keys, values) · F feed-forward size
 *   V vocabulary · K prompt length · R labelled tokens · S sequences
 *
 * Rules. Operations return new arrays and never change their inputs, `rope` excepted. They may be queued: only `read` waits.
 * All work happens inside an `arena`. The caller frees what it got (`free`) at its last use; the arena frees the rest, also after
 * a failure. Activations are float32 for the host; an engine may keep those between `linear` and `linear` in bf16, its tolerance
 * says so. Weights are frozen and keep the dtype they were given in.
 */

import type { WideMap, WideSize } from "../kernels/wide_linear.ts";
import type {
  AttentionSize,
  DeviceArray,
  FileTensor,
  HostTensor,
  KvCache,
  LinearOrder,
  LossCell,
  Matrix,
  PromptSet,
  PromptSetGradient,
  RowRange,
  WeightDType,
} from "./arrays.ts";
import type { DeltaOperations, GateOperations } from "./delta_operations.ts";
import type { TuningOperations } from "./tuning_operations.ts";

export type {
  AttentionSize,
  DeltaInput,
  DeltaSize,
  DeltaWeights,
  DeviceArray,
  DType,
  FileTensor,
  HostTensor,
  KvCache,
  LinearOrder,
  LossCell,
  Matrix,
  PromptSet,
  PromptSetGradient,
  RowRange,
  ScaledDType,
  WeightDType,
} from "./arrays.ts";

/** Computes the operations of a decoder on its arrays, forward and backward; what an array is, it alone knows. */
export interface Engine extends DeltaOperations, GateOperations, TuningOperations {
  /** Name shown to people and stored with a run, for example `reference`. Runs are bit-equal on the same engine only. */
  readonly name: string;
  /** Weight dtypes that `matrix` takes; a loader widens everything else to f32. Those with scales are for `linear` and its backward only. */
  readonly weightDtypes: readonly WeightDType[];
  /** Whether attention and `headLoss` know soft caps (`cap`). @default false: bases with caps are refused */
  readonly softCaps?: boolean;

  /** Takes a weight over, in its dtype if that is one of `weightDtypes`. */
  matrix(tensor: HostTensor): Matrix;
  /**
   * Uses the numbers where they lie in the file, which all engines of the process then share. Absent if the engine
   * cannot. Once the file is changed or cut short, arenas throw.
   */
  mapped?(tensor: FileTensor): Matrix;
  /** Copies numbers to the device. */
  upload(values: Float32Array): DeviceArray;
  /** Copies numbers back, once what computes them is done. */
  read(array: DeviceArray): Promise<Float32Array>;
  /**
   * Waits for what computes the numbers, and copies them back at once: for a base whose router chooses experts on the host. Absent
   * if the engine cannot: such bases are refused.
   */
  readNow?(array: DeviceArray): Float32Array;
  /** Frees arrays; skips undefined ones. */
  free(...arrays: readonly (DeviceArray | undefined)[]): void;
  /**
   * Runs `work` and then frees everything that it allocated and neither freed nor kept. Arenas run one after another, in the
   * order of their calls, so several users may share an engine; they do not nest.
   */
  arena<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Runs work that only enqueues (no `read`) and comes again and again alike, such as decoding one token of each text. An
   * engine may record it and replay what was recorded, with the data of now: same bits, less to do.
   */
  repeated?<T>(work: () => T): T;
  /** Takes arrays out of the running arena: they live until they are freed, in this arena or a later one. */
  keep(...arrays: readonly DeviceArray[]): void;
  /** Lives until `freeCache`, whichever arena it was made in. */
  kvCache(capacity: number, Y: number): KvCache;
  /** Frees a cache of keys and values, or a state. */
  freeCache(cache: KvCache): void;

  /** Rows of an embedding table: `y[t] = scale · table[ids[t]] (+ residual[t])`, `[T, D]`. */
  embed(table_VD: Matrix, ids_T: Int32Array, options?: { scale?: number; residual?: DeviceArray }): DeviceArray;
  /** `y[r] = x[rows[r]]`. */
  gatherRows(x_TD: DeviceArray, rows_R: Int32Array, size: { T: number; D: number }): DeviceArray;
  /** `dx[rows[r]] = dy[r]`, all other rows 0; the backward of `gatherRows`. Rows that repeat are summed, in the order of r. */
  scatterRows(dy_RD: DeviceArray, rows_R: Int32Array, size: { T: number; D: number }): DeviceArray;
  /** Cuts rows of X = A + B numbers in two. */
  splitColumns(
    x_TX: DeviceArray,
    size: { T: number; A: number; B: number; X: number },
  ): { a_TA: DeviceArray; b_TB: DeviceArray };
  /** Puts rows side by side: the inverse of `splitColumns`. */
  joinColumns(a_TA: DeviceArray, b_TB: DeviceArray, size: { T: number; A: number; B: number; X: number }): DeviceArray;

  /** `x + factor·y`. */
  addScaled(x_TD: DeviceArray, y_TD: DeviceArray, size: { T: number; D: number; factor: number }): DeviceArray;

  /** `y[t] = factor[t] · x[t]`. */
  scaleRows(x_TD: DeviceArray, factor_T: DeviceArray, size: { T: number; D: number }): DeviceArray;
  /** Gradient of the rows and of their factors, `dfactor[t] = dy[t] · x[t]`. */
  scaleRowsBackward(
    input: { dy_TD: DeviceArray; x_TD: DeviceArray; factor_T: DeviceArray },
    size: { T: number; D: number },
  ): { dx_TD: DeviceArray; dfactor_T: DeviceArray };

  /** Root-mean-square norm (arXiv:1910.07467 eq. 4); `rstd_T` is what backward needs. */
  rmsNorm(
    x_TD: DeviceArray,
    weight_D: Matrix,
    size: { T: number; D: number; eps: number },
  ): { y_TD: DeviceArray; rstd_T: DeviceArray };
  /** dx, plus `residual_TD` if given: the gradient that flows past the norm. */
  rmsNormBackward(
    input: { dy_TD: DeviceArray; x_TD: DeviceArray; weight_D: Matrix; rstd_T: DeviceArray; residual_TD?: DeviceArray },
    size: { T: number; D: number },
  ): DeviceArray;

  /** LayerNorm (arXiv:1607.06450 eq. 3); `stats_T2` is what backward needs: mean and reciprocal deviation of each token. */
  layerNorm(
    x_TD: DeviceArray,
    weights: { weight_D: Matrix; bias_D: Matrix },
    size: { T: number; D: number; eps: number },
  ): { y_TD: DeviceArray; stats_T2: DeviceArray };
  /** dx, plus `residual_TD` if given, as `rmsNormBackward`. */
  layerNormBackward(
    input: {
      dy_TD: DeviceArray;
      x_TD: DeviceArray;
      weight_D: Matrix;
      stats_T2: DeviceArray;
      residual_TD?: DeviceArray;
    },
    size: { T: number; D: number },
  ): DeviceArray;

  /**
   * `y = x·Wᵀ (+ bias) (+ residual)` over `rows` of the weight (default: all). `bias` spans all rows of the weight. With
   * `toRead` the host reads the result: an engine whose activations have 16 bits leaves it in float32.
   * @param options.order Default: `any`.
   */
  linear(
    x: DeviceArray,
    weight: Matrix,
    options: {
      T: number;
      rows?: RowRange;
      bias?: Matrix | undefined;
      residual?: DeviceArray;
      toRead?: boolean;
      order?: LinearOrder;
    },
  ): DeviceArray;
  /** `dx = dy·W (+ residual)`: activation gradient only, weights are frozen. */
  linearBackward(
    dy: DeviceArray,
    weight: Matrix,
    options: { T: number; rows?: RowRange; residual?: DeviceArray; toRead?: boolean },
  ): DeviceArray;

  /**
   * Groups of rows, each times a part of the weight: rows `bounds[g]` to `bounds[g + 1]` of x meet rows g·N to (g + 1)·N of the
   * weight, N being all of them divided by the number of groups. In packed order: a row has the same bits in any group. Absent if the
   * engine has no experts.
   */
  groupedLinear?(x_PK: DeviceArray, weight: Matrix, bounds: Int32Array): DeviceArray;
  /** `dx = dy·W` of each group. */
  groupedLinearBackward?(dy_PN: DeviceArray, weight: Matrix, bounds: Int32Array): DeviceArray;

  /**
   * Rotates queries and keys inside `qkv_TX` in place, half-split layout (Hugging Face). `cosSin_Td` holds, per token,
   * d/2 cosines then d/2 sines. `inverse` rotates back, which is also the gradient.
   */
  rope(qkv_TX: DeviceArray, cosSin_Td: DeviceArray, size: AttentionSize & { inverse?: boolean }): void;

  /**
   * Causal grouped-query attention inside each sequence `cuSeqlens[s] … cuSeqlens[s+1]`; scores are scaled by 1/√d, then capped. With
   * `causal: false` every query sees all tokens of its sequence, whatever `window` is, and there is no backward.
   */
  attention(
    qkv_TX: DeviceArray,
    cuSeqlens: Int32Array,
    size: AttentionSize & { causal?: boolean },
  ): { o_TQ: DeviceArray; lse_TH: DeviceArray };
  /** Gradient of q, k and v [T, X], from that of the output and what `attention` kept. */
  attentionBackward(
    input: { do_TQ: DeviceArray; qkv_TX: DeviceArray; o_TQ: DeviceArray; lse_TH: DeviceArray },
    cuSeqlens: Int32Array,
    size: AttentionSize,
  ): DeviceArray;
  /**
   * The same with keys and values kept: sequence s appends its tokens to `caches[s]` behind the `starts[s]` tokens
   * already there and attends over all of them. For generation; has no backward.
   */
  cachedAttention(
    qkv_TX: DeviceArray,
    caches: readonly KvCache[],
    starts: Int32Array,
    cuSeqlens: Int32Array,
    size: AttentionSize,
  ): DeviceArray;

  /**
   * Zero-init attention of LLaMA-Adapter (arXiv:2303.16199 §3.2): `o + gate_H · softmax(q·k_promptᵀ/√d)·v_prompt`, a
   * softmax of its own, under the cap of `size`, no mask, no rotation of prompt keys. Sequences of one pass have adapters of their own by sets.
   */
  promptAttention(
    o_TQ: DeviceArray,
    input: { qkv_TX: DeviceArray; sets: readonly PromptSet[] },
    size: AttentionSize,
  ): DeviceArray;
  /** Returns a gradient for each set; `dqkv_TX` gets the query part of the sets' tokens added in place. */
  promptAttentionBackward(
    input: { do_TQ: DeviceArray; qkv_TX: DeviceArray; sets: readonly PromptSet[]; dqkv_TX?: DeviceArray },
    size: AttentionSize,
  ): readonly PromptSetGradient[];

  /**
   * `attention` and `promptAttention` at once. Absent if the engine does not have it, and undefined for sizes and sets that it
   * does not support: then the two are called one after the other.
   */
  promptedAttention?(
    input: { qkv_TX: DeviceArray; sets: readonly PromptSet[] },
    cuSeqlens: Int32Array,
    size: AttentionSize,
  ): { y_TQ: DeviceArray; lse_TH: DeviceArray } | undefined;
  /** Backward of `promptedAttention` with the same sets. Without `withInput` only the prompts' gradients are made. */
  promptedAttentionBackward?(
    input: {
      do_TQ: DeviceArray;
      qkv_TX: DeviceArray;
      y_TQ: DeviceArray;
      lse_TH: DeviceArray;
      sets: readonly PromptSet[];
    },
    cuSeqlens: Int32Array,
    size: AttentionSize & { withInput: boolean },
  ): { dqkv_TX: DeviceArray | undefined; prompts: readonly PromptSetGradient[] };

  /** `silu(gate)·up` over merged `[gate | up]` rows. */
  swiglu(gateUp: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** Gradient of gate and up. */
  swigluBackward(dy_TF: DeviceArray, gateUp: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** `gelu(gate)·up` over merged `[gate | up]` rows; gelu in its tanh approximation. */
  geglu(gateUp: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** Gradient of gate and up. */
  gegluBackward(dy_TF: DeviceArray, gateUp: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** The same gelu, of an MLP without a gate. */
  gelu(up_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** Gradient of up. */
  geluBackward(dy_TF: DeviceArray, up_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** gelu itself, by the error function. */
  geluErf(up_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** Gradient of up. */
  geluErfBackward(dy_TF: DeviceArray, up_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** gelu by a logistic function, `up·σ(1.702·up)`. Forward only. */
  geluQuick(up_TF: DeviceArray, size: { T: number; F: number }): DeviceArray;
  /** `cap · tanh(x / cap)`. Forward only. */
  softCap(x_TF: DeviceArray, size: { T: number; F: number; cap: number }): DeviceArray;

  /**
   * Head and loss of labelled tokens, in chunks: negative log-likelihood in nats per token; 1 if the label is what
   * greedy decoding takes (the lowest id of the largest logit), else 0; and with `cells` also `dy = scale · ∂(Σ nll)/∂y`.
   * Logits come under a soft cap, if `cap` is given. A `[T, V]` matrix never exists. `cells` divide the rows among cells, in order; a cell's rows have the bits of its own call.
   */
  headLoss(
    y_RD: DeviceArray,
    head_VD: Matrix,
    labels_R: Int32Array,
    size: { R: number; D: number; cap?: number | undefined; cells?: readonly LossCell[] },
  ): { nll_R: DeviceArray; hit_R: DeviceArray; dy_RD?: DeviceArray };

  /** Core's `addFixedPoint` with the same bits, if the engine has a faster one: adds a cell's gradient to its slot. */
  addFixedPoint?(sum: Int32Array, gradient: Float32Array, limit?: number): number;

  /** Core's `wideLinear` with the same bits, if the engine has a faster one: what adapters compute of images on the host. */
  wideLinear?(x_TK: Float64Array, map: WideMap, size: WideSize): Float64Array;
  /** Core's `wideLinearBackward`: returns `dx_TK` and adds to `sums`. */
  wideLinearBackward?(
    sums: WideMap<Float64Array>,
    input: { dy_TN: Float64Array; x_TK: Float64Array; weight: Float32Array },
    size: WideSize,
  ): Float64Array;
}
