/** Core's Engine over the native kernels. What is passed on is checked there: sizes, dtypes, freed arrays. */
import type { WeightStorage } from "@zerogate/core";
import {
  type AttentionSize,
  cellsOfLoss,
  checkPromptSets,
  type DeviceArray,
  type Engine,
  type FileTensor,
  type FlatName,
  type FlatOperation,
  type FlatRun,
  flatEngine,
  type HostTensor,
  type KvCache,
  type LinearOrder,
  lengthOf,
  type Matrix,
  type PromptSet,
  tensorBytes,
  type WeightDType,
} from "@zerogate/core/engine";
import { type Addon, chooseLevel, type HeadArguments, loadAddon, type NativeEngine, type Operations } from "./addon.ts";
import { type CpuArray, createArrays } from "./arrays.ts";
import { deltaNets } from "./delta.ts";
import { grouped } from "./grouped.ts";
import { type CpuMatrix, handle, optional, weightOf } from "./handles.ts";
import { hostArithmetic } from "./host_arithmetic.ts";

/** How the native engine computes. */
export interface CpuEngineOptions {
  /** Threads that an operation uses, the caller's included; any number gives the same bits. Default 1. */
  readonly threads?: number;
  /**
   * `f32` (default) widens weights exactly. `bf16` rounds activations and weights to bf16 for matrix products (sums stay
   * float32): about twice as fast, relative error of a product 1e-3 to 3e-3, only if the machine has AVX512-BF16.
   */
  readonly compute?: "f32" | "bf16";
  /** How the linear maps that it will be given are stored: part of its name, any engine takes both. Default `as-is`. */
  readonly storage?: WeightStorage;
  /**
   * Keeps a copy of each linear map in the order in which products read it, one for each direction that is used: four bytes
   * a number in f32, two in bf16. The first product makes it, all engines of the process share it, no bit changes: products
   * of 128 rows are up to a tenth faster. Default false.
   */
  readonly packing?: boolean;
  /** Over shared memory. Once element 0 is not 0, operations throw, also the one that runs: soon, not when it is done. */
  readonly cancel?: Int32Array;
}

interface CpuCache extends KvCache {
  readonly handle: number;
}

/** An engine on this machine's processor, with threads and memory of its own. */
export interface CpuEngine extends Engine {
  /** Bytes held for arrays: now, and at most since the engine was made. */
  memory(): { readonly bytes: number; readonly peakBytes: number };
}

/** What an engine needs of the binary once it is open. */
export type Backend = Operations & Pick<Addon, "take" | "release" | "endArena" | "memory" | "write" | "read">;

/** Weights that it takes, by their numbers in native/include/kernels.h. */
export const weightDtypes: readonly WeightDType[] = ["f32", "bf16", "f16", "i8", "nf4", "i4"];

const packsOf = (weight: Matrix) => (weight as CpuMatrix).packs;
/** Orders of sums, by their numbers in native/include/kernels.h. */
const orders: Readonly<Record<LinearOrder, number>> = { any: 0, packed: 1, alone: 2 };
const noWeight = [undefined, undefined, undefined, undefined];
const heads = ({ T, H, G, d, window, cap = 0 }: AttentionSize): HeadArguments => [T, H, G, d, window, cap];
const noSkips = new Int32Array();
const skipsOf = ({ skips_S = noSkips }: AttentionSize): Int32Array => skips_S;

/**
 * Opens an engine. Throws an Error if there is no binary for this machine, an `InputError` if ZEROGATE_CPU_LEVEL names
 * a level that it lacks, a `RangeError` if the level has no bf16.
 */
export function createEngine({
  threads = 1,
  compute = "f32",
  storage,
  packing = false,
  cancel,
}: CpuEngineOptions = {}): CpuEngine {
  const { addon } = loadAddon();
  const level = chooseLevel(addon);
  const engine = addon.open(level, threads, compute === "bf16");
  if (cancel) addon.watch(engine, cancel);
  const { mapFile } = addon;
  const place = (tensor: HostTensor): CpuMatrix => {
    const made = matrix(tensor);
    return packing && tensor.shape.length === 2 ? { ...made, packs: addon.pack(engine, ...made.weight) } : made;
  };
  return {
    ...engineOver(addon, engine, `cpu/${level}/${compute}`, storage),
    matrix: place,
    ...hostArithmetic(addon, engine),
    ...(mapFile && {
      mapped: ({ dtype, shape, path, offset, byteLength }: FileTensor) =>
        place({ dtype, shape, bytes: mapFile(path, offset, byteLength) }),
    }),
  };
}

/** The engine over the binary, or over something that takes the same calls. */
export function engineOver(
  run: Backend,
  engine: NativeEngine,
  arithmetic: string,
  storage: WeightStorage = "as-is",
): CpuEngine {
  const { take, ...lifetimes } = createArrays(run, engine);
  const readNow = (array: DeviceArray) => {
    const out = new Float32Array(array.length);
    run.read(engine, out, handle(array));
    return out;
  };

  return {
    name: storage === "as-is" ? arithmetic : `${arithmetic}/${storage}`,
    weightDtypes,
    softCaps: true,
    matrix,
    upload(values) {
      const array = take(values.length);
      run.write(engine, values, array.handle);
      return array;
    },
    read: async (array) => readNow(array),
    readNow,
    ...lifetimes,
    kvCache: (capacity, Y): CpuCache => ({ capacity, handle: run.take(engine, capacity * Y) }),
    freeCache: (cache) => run.release(engine, (cache as CpuCache).handle),
    memory() {
      const [bytes, peakBytes] = run.memory(engine);
      return { bytes, peakBytes };
    },

    embed(table, ids_T, { scale = 1, residual } = {}) {
      const y = take(ids_T.length * table.columns);
      run.embed(engine, scale, ...weightOf(table), ids_T, y.handle, optional(residual));
      return y;
    },
    ...flatEngine((name, operation) => flatOperation(run, engine, take, name, operation)),

    linear(x, weight, { T, rows: [from, to] = [0, weight.rows], bias, residual, order = "any" }) {
      const y = take(T * (to - from));
      const inputs = [y.handle, handle(x), optional(residual), ...(bias ? weightOf(bias) : noWeight)];
      run.linear(engine, T, from, to, ...weightOf(weight), ...inputs, orders[order], packsOf(weight));
      return y;
    },
    linearBackward(dy, weight, { T, rows: [from, to] = [0, weight.rows], residual }) {
      const dx = take(T * weight.columns);
      const inputs = [dx.handle, handle(dy), optional(residual)];
      run.linearBackward(engine, T, from, to, ...weightOf(weight), ...inputs, packsOf(weight));
      return dx;
    },

    ...grouped(run, engine, take),
    ...deltaNets(run, engine, take),

    rope(qkv, cosSin, size) {
      run.rope(engine, ...heads(size), size.inverse ?? false, handle(qkv), handle(cosSin));
    },

    ...attentions(run, engine, take),
    headLoss(y, head, labels_R, { R, D, cap = 0, cells }) {
      const own = cellsOfLoss(R, cells);
      const counts = Int32Array.from(own, (cell) => cell.R);
      const scales = Float32Array.from(own, ({ scale = 0 }) => scale);
      const [nll_R, hit_R] = [take(R), take(R)];
      const dy_RD = cells && take(R * D);
      const outputs = [nll_R.handle, hit_R.handle, handle(y), dy_RD?.handle];
      run.headLoss(engine, R, cap, counts, scales, ...weightOf(head), labels_R, ...outputs);
      return dy_RD ? { nll_R, hit_R, dy_RD } : { nll_R, hit_R };
    },
  };
}

/** Attention of texts and of prompts, over arrays that `take` makes. */
/** The window of attention without a mask, in native/include/kernels.h. */
const UNMASKED = -1;

function attentions(
  run: Backend,
  engine: NativeEngine,
  take: (length: number) => CpuArray,
): Pick<Engine, "attention" | "attentionBackward" | "cachedAttention" | "promptAttention" | "promptAttentionBackward"> {
  return {
    attention(qkv, cuSeqlens, size) {
      const { T, H, d } = size;
      const o_TQ = take(T * H * d);
      const lse_TH = take(T * H);
      const seen = size.causal === false ? { ...size, window: UNMASKED } : size;
      run.attention(engine, ...heads(seen), cuSeqlens, skipsOf(size), o_TQ.handle, lse_TH.handle, handle(qkv));
      return { o_TQ, lse_TH };
    },
    attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cuSeqlens, size) {
      const dqkv = take(qkv_TX.length);
      const inputs = [handle(do_TQ), handle(qkv_TX), handle(o_TQ), handle(lse_TH)];
      run.attentionBackward(engine, ...heads(size), cuSeqlens, skipsOf(size), dqkv.handle, ...inputs);
      return dqkv;
    },
    cachedAttention(qkv, caches, starts, cuSeqlens, size) {
      const o = take(size.T * size.H * size.d);
      const capacities = Int32Array.from(caches, ({ capacity }) => capacity);
      const handles = Float64Array.from(caches as readonly CpuCache[], (cache) => cache.handle);
      run.cachedAttention(engine, ...heads(size), cuSeqlens, o.handle, handle(qkv), starts, capacities, handles);
      return o;
    },

    promptAttention(o, { qkv_TX, sets }, size) {
      checkPromptSets("promptAttention", sets, size);
      const y = take(o.length);
      run.promptAttention(engine, ...heads(size), ...setsOf(sets, size), y.handle, handle(o), handle(qkv_TX));
      return y;
    },
    promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, size) {
      checkPromptSets("promptAttentionBackward", sets, size);
      const gradients = sets.map(({ rows: [first, end] }) => {
        return { dkv_KY: take((end - first) * 2 * size.G * size.d), dgate_H: take(size.H) };
      });
      const outputs = (["dkv_KY", "dgate_H"] as const).map((name) =>
        Float64Array.from(gradients, (gradient) => gradient[name].handle),
      );
      const inputs = [handle(do_TQ), handle(qkv_TX), optional(dqkv_TX)];
      run.promptAttentionBackward(engine, ...heads(size), ...setsOf(sets, size), ...outputs, ...inputs);
      return gradients;
    },
  };
}

/** One operation as the binary takes it: the values of its row in core's table, in their order. */
function flatOperation(
  run: Backend,
  engine: NativeEngine,
  take: (length: number) => CpuArray,
  name: FlatName,
  { sizes, numbers, weights, rows, outputs, inputs, maybe }: FlatOperation,
): FlatRun {
  const call = run[name];
  const sizeNames = [...Object.keys(sizes), ...numbers];
  const [weightNames, rowNames] = [Object.keys(weights), Object.keys(rows)];
  const made = Object.entries(outputs).map(([output, shape]) => ({ output, length: lengthOf(shape) }));
  const inputNames = [...Object.keys(inputs), ...Object.keys(maybe)];
  return (values, size) => {
    const args: [NativeEngine, ...unknown[]] = [engine];
    for (const number of sizeNames) args.push(size[number]);
    for (const weightName of weightNames) {
      const weight = weightOf(values[weightName] as Matrix);
      args.push(weight[0], weight[1], weight[2], weight[3]);
    }
    for (const list of rowNames) args.push(values[list]);
    const out: Record<string, CpuArray> = {};
    for (const { output, length } of made) {
      const array = take(length(size));
      out[output] = array;
      args.push(array.handle);
    }
    for (const input of inputNames) args.push(optional(values[input] as DeviceArray | undefined));
    call(...args);
    return out;
  };
}

/** Prompt sets as the operations take them: bounds, gates, and the arrays of their keys and values. */
function setsOf(
  sets: readonly PromptSet[],
  { H, G, d }: AttentionSize,
): readonly [bounds: Int32Array, gates: Float32Array, kvs: Float64Array] {
  const bounds = new Int32Array(5 * sets.length);
  const gates = new Float32Array(H * sets.length);
  const kvs = new Float64Array(sets.length);
  for (const [s, { kv_RY, rows, tokens, gate_H }] of sets.entries()) {
    bounds.set([kv_RY.length / (2 * G * d), rows[0], rows[1], tokens[0], tokens[1]], 5 * s);
    gates.set(gate_H, H * s);
    kvs[s] = handle(kv_RY);
  }
  return [bounds, gates, kvs];
}

/** Uses the bytes where they lie, for as long as the matrix lives. */
export function matrix({ dtype, shape, bytes }: HostTensor): CpuMatrix {
  const [rows = 0, columns = 1] = shape;
  const code = weightDtypes.indexOf(dtype);
  if (code < 0) throw new TypeError(`Cannot use a weight of ${dtype}: one of ${weightDtypes.join(", ")} is needed`);
  const needed = tensorBytes(dtype, shape);
  if (shape.length > 2 || bytes.byteLength !== needed) {
    const found = `${dtype} [${shape.join(", ")}] in ${bytes.byteLength} bytes`;
    throw new RangeError(`Cannot use a weight: it is ${found}, one or two dimensions and ${needed} bytes are needed`);
  }
  return { rows, columns, weight: [bytes, code, rows, columns] };
}
