/**
 * The reference engine: plain TypeScript over Float32Array, single-threaded, sums in float64. Every other engine must
 * agree with it. It is slow (a few GFLOP/s a core) and meant for tests, tiny models and machines where nothing else runs.
 */

import { dequantize, isScaled } from "../formats/scaled.ts";
import type { WeightStorage } from "../formats/scaled_format.ts";
import { attentionBackward, attentionForward, cachedAttentionForward } from "../kernels/attention.ts";
import { gatedDeltaBackward, gatedDeltaForward } from "../kernels/gated_delta.ts";
import { headLossForwardBackward } from "../kernels/head_loss.ts";
import { linearBackward, linearForward } from "../kernels/linear.ts";
import { type PromptRange, promptAttentionBackward, promptAttentionForward } from "../kernels/prompt_attention.ts";
import { rotate } from "../kernels/rope.ts";
import { type ArrayStore, createArena } from "./arena.ts";
import type { DeltaOperations } from "./delta_operations.ts";
import { checkDelta, deltaStateLength, deltaWidths } from "./delta_size.ts";
import type {
  AttentionSize,
  DeltaInput,
  DeltaWeights,
  DeviceArray,
  Engine,
  HostTensor,
  KvCache,
  Matrix,
  PromptSet,
  RowRange,
} from "./engine.ts";
import { type FlatRun, flatEngine, lengthOf } from "./flat.ts";
import { cellsOfLoss } from "./loss_cells.ts";
import type { FlatName, FlatOperation, HostArrays } from "./operation_rows.ts";
import { checkPromptSets, promptCount } from "./prompt_sets.ts";
import { rowGroups } from "./row_groups.ts";

interface ReferenceMatrix extends Matrix {
  readonly values: Float32Array;
}

interface ReferenceCache extends KvCache {
  readonly data: Float32Array;
}

// The engine makes every array, matrix and cache that it is given back, so these narrowings cannot fail.
const host = (array: DeviceArray) => array as Float32Array;
const optional = (array: DeviceArray | undefined) => array as Float32Array | undefined;
const valuesOf = (weight: Matrix) => (weight as ReferenceMatrix).values;
const rowsOf = (weight: Matrix, [from, to]: RowRange) =>
  valuesOf(weight).subarray(from * weight.columns, to * weight.columns);

/**
 * Makes the plain engine: its arrays are Float32Arrays, it holds no state but its free arrays, and every other engine is judged by it.
 * `storage` is part of its name only.
 *
 * @example
 * const engine = createReferenceEngine();
 * engine.name; // "reference"
 */
export function createReferenceEngine({ storage = "as-is" }: { storage?: WeightStorage } = {}): Engine {
  const { take, ...lifetimes } = createArena(arraysByLength());

  /** Its kernel, over the numbers of what it is given. */
  function flatOperation(_name: FlatName, operation: FlatOperation): FlatRun {
    const outputs = Object.entries(operation.outputs).map(([name, shape]) => [name, lengthOf(shape)] as const);
    const weights = Object.keys(operation.weights);
    return (values, size) => {
      const out = Object.fromEntries(outputs.map(([name, length]) => [name, take(length(size))]));
      const widened = Object.fromEntries(weights.map((name) => [name, valuesOf(values[name] as Matrix)]));
      operation.kernel(out, { ...(values as HostArrays), ...widened }, size);
      return out;
    };
  }

  return {
    name: storage === "as-is" ? "reference" : `reference/${storage}`,
    weightDtypes: ["f32", "i8", "f8", "nf4", "i4"],
    softCaps: true,
    matrix,
    upload(values) {
      const array = take(values.length);
      array.set(values);
      return array;
    },
    read: async (array) => host(array).slice(),
    readNow: (array) => host(array).slice(),
    ...lifetimes,
    kvCache: (capacity, Y): ReferenceCache => ({ capacity, data: new Float32Array(capacity * Y) }),
    freeCache() {}, // garbage collection does it

    embed(table, ids_T, { scale = 1, residual } = {}) {
      const D = table.columns;
      const y = take(ids_T.length * D);
      const past = optional(residual);
      for (const [t, id] of ids_T.entries()) {
        if (!(id >= 0 && id < table.rows)) {
          throw new RangeError(`Cannot embed token ${id}: the vocabulary has ${table.rows} entries`);
        }
        const row = rowsOf(table, [id, id + 1]);
        for (let d = 0, at = t * D; d < D; d++, at++) y[at] = scale * row[d] + (past ? past[at] : 0);
      }
      return y;
    },
    ...flatEngine(flatOperation),

    ...linearMaps(take),

    rope: (qkv, cosSin, size) => rotate(host(qkv), host(cosSin), size),

    ...attentions(take),
    ...deltaNets(take),
    headLoss: headLoss(take),
  };
}

/** Products with a weight, or with rows of it. */
function linearMaps(
  take: (length: number) => Float32Array,
): Required<Pick<Engine, "linear" | "linearBackward" | "groupedLinear" | "groupedLinearBackward">> {
  return {
    linear(x, weight, { T, rows = [0, weight.rows], bias, residual }) {
      const [from, to] = rows;
      const y_TN = take(T * (to - from));
      linearForward(
        { y_TN },
        {
          x_TK: host(x),
          w_NK: rowsOf(weight, rows),
          bias_N: bias && valuesOf(bias).subarray(from, to),
          residual_TN: optional(residual),
        },
        { T, N: to - from, K: weight.columns },
      );
      return y_TN;
    },
    linearBackward(dy, weight, { T, rows = [0, weight.rows], residual }) {
      const dx_TK = take(T * weight.columns);
      linearBackward(
        { dx_TK },
        { dy_TN: host(dy), w_NK: rowsOf(weight, rows), residual_TK: optional(residual) },
        { T, N: rows[1] - rows[0], K: weight.columns },
      );
      return dx_TK;
    },

    groupedLinear(x, weight, bounds) {
      const { groups, P, N } = rowGroups("groupedLinear", weight, bounds);
      const [y_PN, K] = [take(P * N), weight.columns];
      for (const {
        rows: [from, to],
        part,
      } of groups) {
        const x_TK = host(x).subarray(from * K, to * K);
        const out = { y_TN: y_PN.subarray(from * N, to * N) };
        linearForward(out, { x_TK, w_NK: rowsOf(weight, part) }, { T: to - from, N, K });
      }
      return y_PN;
    },
    groupedLinearBackward(dy, weight, bounds) {
      const { groups, P, N } = rowGroups("groupedLinearBackward", weight, bounds);
      const [dx_PK, K] = [take(P * weight.columns), weight.columns];
      for (const {
        rows: [from, to],
        part,
      } of groups) {
        const dy_TN = host(dy).subarray(from * N, to * N);
        const out = { dx_TK: dx_PK.subarray(from * K, to * K) };
        linearBackward(out, { dy_TN, w_NK: rowsOf(weight, part) }, { T: to - from, N, K });
      }
      return dx_PK;
    },
  };
}

function headLoss(take: (length: number) => Float32Array): Engine["headLoss"] {
  return (y, head, labels_R, { R, D, cap = 0, cells }) => {
    const [nll_R, hit_R] = [take(R), take(R)];
    const dy_RD = cells && take(R * D);
    let at = 0;
    for (const { R: rows, scale } of cellsOfLoss(R, cells)) {
      const part = (array: Float32Array, width = 1) => array.subarray(at * width, (at + rows) * width);
      const input = { y_RD: part(host(y), D), head_VD: valuesOf(head), labels_R: labels_R.subarray(at, at + rows) };
      const out = { nll_R: part(nll_R), hit_R: part(hit_R), dy_RD: dy_RD && part(dy_RD, D) };
      headLossForwardBackward(out, input, { R: rows, D, V: head.rows, scale, cap });
      at += rows;
    }
    return dy_RD ? { nll_R, hit_R, dy_RD } : { nll_R, hit_R };
  };
}

/** Attention of texts and of prompts: the kernels over arrays that `take` makes. */
function attentions(
  take: (length: number) => Float32Array,
): Pick<Engine, "attention" | "attentionBackward" | "cachedAttention" | "promptAttention" | "promptAttentionBackward"> {
  return {
    attention(qkv, cuSeqlens, size) {
      const { T, H, d } = size;
      const out = { o_TQ: take(T * H * d), lse_TH: take(T * H) };
      attentionForward(out, { qkv_TX: host(qkv), cuSeqlens }, size);
      return out;
    },
    attentionBackward({ do_TQ, qkv_TX, o_TQ }, cuSeqlens, size) {
      const dqkv_TX = take(qkv_TX.length);
      const input = { do_TQ: host(do_TQ), qkv_TX: host(qkv_TX), o_TQ: host(o_TQ), cuSeqlens };
      attentionBackward({ dqkv_TX }, input, size);
      return dqkv_TX;
    },
    cachedAttention(qkv, caches, starts, cuSeqlens, size) {
      const o_TQ = take(size.T * size.H * size.d);
      const input = { qkv_TX: host(qkv), cuSeqlens, caches: caches as readonly ReferenceCache[], starts };
      cachedAttentionForward({ o_TQ }, input, size);
      return o_TQ;
    },

    promptAttention(o, { qkv_TX, sets }, size) {
      checkPromptSets("promptAttention", sets, size);
      const y_TQ = take(o.length);
      y_TQ.set(host(o));
      for (const set of sets) {
        promptAttentionForward(
          { y_TQ },
          { qkv_TX: host(qkv_TX), ...rangeOf(set, size) },
          { ...size, K: promptCount(set) },
        );
      }
      return y_TQ;
    },
    promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, size) {
      checkPromptSets("promptAttentionBackward", sets, size);
      return sets.map((set) => {
        const K = promptCount(set);
        const out = { dkv_KY: take(K * 2 * size.G * size.d), dgate_H: take(size.H) };
        const input = { do_TQ: host(do_TQ), qkv_TX: host(qkv_TX), ...rangeOf(set, size) };
        promptAttentionBackward({ ...out, dqkv_TX: optional(dqkv_TX) }, input, { ...size, K });
        return out;
      });
    },
  };
}

function deltaNets(take: (length: number) => Float32Array): Required<DeltaOperations> {
  const inputOf = ({ x_TC, gates_T2N }: DeltaInput, weights: DeltaWeights, cuSeqlens: Int32Array) => {
    const { conv_CL, rate_N, bias_N } = weights;
    const held = { conv_CL: valuesOf(conv_CL), rate_N: valuesOf(rate_N), bias_N: valuesOf(bias_N) };
    return { x_TC: host(x_TC), gates_T2N: host(gates_T2N), ...held, cuSeqlens };
  };
  return {
    gatedDelta(input, weights, cuSeqlens, size, past) {
      checkDelta("gatedDelta", { input, weights, cuSeqlens }, size);
      const o_TM = take(size.T * deltaWidths(size).M);
      const states = (past?.states as readonly ReferenceCache[] | undefined)?.map(({ data }) => data);
      const kept = past && states ? { states, starts: past.starts } : {};
      gatedDeltaForward({ o_TM }, { ...inputOf(input, weights, cuSeqlens), ...kept }, size);
      return o_TM;
    },
    gatedDeltaBackward({ do_TM, ...input }, weights, cuSeqlens, size) {
      checkDelta("gatedDeltaBackward", { input, weights, cuSeqlens }, size);
      const grad = { dx_TC: take(input.x_TC.length), dgates_T2N: take(input.gates_T2N.length) };
      gatedDeltaBackward(grad, { ...inputOf(input, weights, cuSeqlens), do_TM: host(do_TM) }, size);
      return grad;
    },
    deltaState: (size): ReferenceCache => ({ capacity: 1, data: new Float32Array(deltaStateLength(size)) }),
  };
}

/** A set's own keys and values, and the tokens that attend to them. */
function rangeOf({ kv_RY, rows: [from, to], tokens, gate_H }: PromptSet, { G, d }: AttentionSize): PromptRange {
  const Y = 2 * G * d;
  return { kv_KY: host(kv_RY).subarray(from * Y, to * Y), gate_H, tokens };
}

function matrix({ dtype, shape, bytes }: HostTensor): ReferenceMatrix {
  if (isScaled(dtype)) {
    const [rows, columns] = shape;
    return { rows, columns, values: dequantize(dtype, bytes, shape) };
  }
  if (dtype !== "f32") throw new TypeError(`Cannot use ${dtype} weights in the reference engine: widen them to f32`);
  const [rows, columns = 1] = shape;
  return { rows, columns, values: new Float32Array(bytes.buffer, bytes.byteOffset, rows * columns) };
}

/** Arrays by length, handed out again after release: a training step asks for the same lengths over and over. */
function arraysByLength(): ArrayStore<Float32Array> {
  const free = new Map<number, Float32Array[]>();
  return {
    take: (length) => free.get(length)?.pop() ?? new Float32Array(length),
    recycle(array) {
      const same = free.get(array.length);
      if (same) same.push(array);
      else free.set(array.length, [array]);
    },
    endArena: () => free.clear(),
  };
}
