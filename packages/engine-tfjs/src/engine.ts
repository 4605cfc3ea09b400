/** Core's Engine over TensorFlow.js: each operation is one tidy composite of its tensor operations, nothing is left behind. */
import {
  type AttentionSize,
  checkPromptSets,
  createArena,
  type DeviceArray,
  type Engine,
  type FlatName,
  type FlatOperation,
  type FlatRun,
  flatEngine,
  type HostTensor,
  type KvCache,
  type Matrix,
  type PromptSet,
} from "@zerogate/core";
import { openBackend } from "./backend.ts";
import { type TfjsBackend, tfjsBackends } from "./names.ts";
import { attend } from "./ops/attend.ts";
import { attention, attentionBackward, causalMask } from "./ops/attention.ts";
import { flat, matrixShape } from "./ops/flat.ts";
import { headLoss } from "./ops/head_loss.ts";
import { promptAttention, promptAttentionBackward } from "./ops/prompt_attention.ts";
import { rope } from "./ops/rope.ts";
import { type Backend, part, type Tensor } from "./tf.ts";

export interface TfjsEngineOptions {
  readonly backend: TfjsBackend;
}

/** Written once by the operation that makes it, and again by those that work in place. */
interface TfjsArray extends DeviceArray {
  tensor: Tensor | undefined;
}
interface TfjsMatrix extends Matrix {
  readonly tensor: Tensor;
}
/** `[tokens seen, 2G, d]`, which grows; nothing before the first tokens. */
interface TfjsCache extends KvCache {
  readonly Y: number;
  rows: Tensor | undefined;
}

// The engine makes every matrix and cache that it is given back.
const weight = (matrix: Matrix) => (matrix as TfjsMatrix).tensor;

/**
 * Opens an engine on one backend of TensorFlow.js. Its memory is of this thread; weights are copied into it once an engine,
 * but for `cpu`, which reads them where they lie.
 *
 * @throws InputError where the backend's packages are not installed (it says how to) or do not run here.
 */
export async function createEngine(options: TfjsEngineOptions): Promise<Engine> {
  const { backend: name } = options;
  if (!tfjsBackends.includes(name)) {
    throw new RangeError(`Cannot open a backend "${name}": there are ${tfjsBackends.join(", ")}`);
  }
  return engineOver(await openBackend(name), name);
}

function engineOver(backend: Backend, name: TfjsBackend): Engine {
  const { tf } = backend;
  void tf.setBackend(backend.id);
  const instance = tf.backend();
  const { take, ...lifetimes } = createArena<TfjsArray>({
    take: (length) => ({ length, tensor: undefined }),
    recycle(array) {
      array.tensor?.dispose();
      array.tensor = undefined;
    },
    endArena: backend.endArena,
  });

  /** Runs a composite on this engine's backend (another engine of this thread may have another); its temporaries are freed. */
  function compute<Result extends Tensor | { readonly [name: string]: Tensor }>(work: () => Result): Result {
    // A backend that starts meanwhile sets the name first and the instance later: each alone may be another's.
    if (tf.getBackend() !== backend.id || tf.backend() !== instance) void tf.setBackend(backend.id);
    return tf.tidy(work);
  }
  function own(tensor: Tensor): TfjsArray {
    const array = take(tensor.size);
    array.tensor = tensor;
    return array;
  }
  function view(array: DeviceArray, shape: readonly number[]): Tensor {
    const { tensor } = array as TfjsArray;
    if (!tensor) throw new RangeError("Cannot use an array: it is free already");
    return tf.reshape(tensor, [...shape]);
  }
  function replace(array: DeviceArray, tensor: Tensor): void {
    (array as TfjsArray).tensor?.dispose();
    (array as TfjsArray).tensor = tensor;
  }
  const plus = (y: Tensor, residual: DeviceArray | undefined) => (residual ? tf.add(y, view(residual, y.shape)) : y);
  const qkvView = (array: DeviceArray, { T, H, G, d }: AttentionSize) => view(array, [T, H + 2 * G, d]);
  const kvOf = ({ kv_RY, rows: [first, end] }: PromptSet, { G, d }: AttentionSize) =>
    part(tf, view(kv_RY, [kv_RY.length / (2 * G * d), 2 * G, d]), 0, first, end);

  /** Its composite, over the tensors of what it is given. */
  function flatOperation(operationName: FlatName, { weights, rows, inputs, maybe }: FlatOperation): FlatRun {
    const arrays = Object.entries({ ...inputs, ...maybe });
    return (values, size) => {
      const outputs = compute(() => {
        const tensors: Record<string, Tensor> = {};
        for (const vector of Object.keys(weights)) tensors[vector] = weight(values[vector] as Matrix);
        for (const list of Object.keys(rows)) tensors[list] = tf.tensor1d(values[list] as Int32Array, "int32");
        for (const [array, shape] of arrays) {
          const given = values[array] as DeviceArray | undefined;
          if (given || array in inputs) tensors[array] = view(given as DeviceArray, matrixShape(shape, size));
        }
        return flat[operationName](backend, tensors, size);
      });
      return Object.fromEntries(Object.entries(outputs).map(([output, tensor]) => [output, own(tensor)]));
    };
  }

  return {
    name: `tfjs/${name}/${backend.version}/f32`,
    weightDtypes: ["f32"],
    matrix(tensor) {
      const { rows, columns, values } = checkedWeight(tensor);
      backend.ensure(values.byteLength);
      const shape = tensor.shape.length === 2 ? [rows, columns] : [rows];
      return { rows, columns, tensor: compute(() => tf.tensor(values, shape)) } satisfies TfjsMatrix as TfjsMatrix;
    },
    upload: (values) => own(compute(() => tf.tensor1d(values.slice()))), // backends keep what they are given
    async read(array) {
      const { tensor } = array as TfjsArray;
      if (!tensor) throw new RangeError("Cannot read an array: it is free already");
      const values = (await tensor.data()) as Float32Array;
      backend.checkDevice();
      return values.slice();
    },
    ...lifetimes,
    kvCache: (capacity, Y): TfjsCache => ({ capacity, Y, rows: undefined }),
    freeCache(cache) {
      (cache as TfjsCache).rows?.dispose();
      (cache as TfjsCache).rows = undefined;
    },

    embed(table, ids_T, { scale = 1, residual } = {}) {
      for (const id of ids_T) {
        if (!(id >= 0 && id < table.rows)) {
          throw new RangeError(`Cannot embed token ${id}: the vocabulary has ${table.rows} entries`);
        }
      }
      return own(
        compute(() => {
          const rows: Tensor = tf.gather(weight(table), tf.tensor1d(ids_T, "int32"));
          return plus(scale === 1 ? rows : tf.mul(rows, scale), residual);
        }),
      );
    },
    ...flatEngine(flatOperation),

    // Rows of a weight are asked for only with the few tokens of a prompt: all are computed and the others left out, which
    // costs less than a copy of those rows.
    linear: (x, matrix, { T, rows: [from, to] = [0, matrix.rows], bias, residual }) =>
      own(
        compute(() => {
          const product = backend.products.linear(view(x, [T, matrix.columns]), weight(matrix));
          const all = bias ? tf.add(product, weight(bias)) : product;
          return plus(to - from === matrix.rows ? all : tf.slice(all, [0, from], [T, to - from]), residual);
        }),
      ),
    linearBackward: (dy, matrix, { T, rows: [from, to] = [0, matrix.rows], residual }) =>
      own(
        compute(() => {
          const some = view(dy, [T, to - from]);
          const all =
            to - from === matrix.rows
              ? some
              : tf.pad(some, [
                  [0, 0],
                  [from, matrix.rows - to],
                ]);
          return plus(backend.products.linearBackward(all, weight(matrix)), residual);
        }),
      ),

    rope(qkv, cosSin, size) {
      replace(
        qkv,
        compute(() => rope(backend, qkvView(qkv, size), view(cosSin, [size.T, size.d]), size)),
      );
    },

    attention(qkv, cuSeqlens, size) {
      const { o_THd, lse_TH } = compute(() => attention(backend, qkvView(qkv, size), cuSeqlens, size));
      return { o_TQ: own(o_THd), lse_TH: own(lse_TH) };
    },
    attentionBackward({ do_TQ, qkv_TX, lse_TH }, cuSeqlens, size) {
      const { T, H, d } = size;
      return own(
        compute(() => {
          const [do_THd, qkv] = [view(do_TQ, [T, H, d]), qkvView(qkv_TX, size)];
          const input = { do_THd, qkv, lse_TH: view(lse_TH, [T, H]) };
          return attentionBackward(backend, input, cuSeqlens, size);
        }),
      );
    },
    cachedAttention(qkv, caches, starts, cuSeqlens, size) {
      const { H, G, d, window } = size;
      const outputs = caches.map((cache, s) => {
        const [begin = 0, end = 0, start = 0] = [cuSeqlens[s], cuSeqlens[s + 1], starts[s]];
        const n = end - begin;
        const kept = cache as TfjsCache;
        if (start + n > cache.capacity) {
          throw new RangeError(`Cannot keep ${start + n} tokens: the cache was made for ${cache.capacity}`);
        }
        const grown = compute(() => {
          const fresh = part(tf, part(tf, qkvView(qkv, size), 0, begin, end), 1, H, H + 2 * G);
          return kept.rows && start > 0 ? tf.concat([part(tf, kept.rows, 0, 0, start), fresh]) : fresh;
        });
        kept.rows?.dispose();
        kept.rows = grown;
        return compute(() => {
          const q = part(tf, part(tf, qkvView(qkv, size), 0, begin, end), 1, 0, H);
          const [k, v] = [part(tf, grown, 1, 0, G), part(tf, grown, 1, G, 2 * G)];
          const mask = causalMask(backend, n, start + n, start, window);
          return attend(backend, q, { k, v, mask }, { H, G, d }).o_nHd;
        });
      });
      const joined = compute(() => tf.concat(outputs));
      tf.dispose(outputs);
      return own(joined);
    },

    promptAttention(o, { qkv_TX, sets }, size) {
      checkPromptSets("promptAttention", sets, size);
      const { T, H, d } = size;
      return own(
        compute(() => {
          const [past, qkv] = [view(o, [T, H, d]), qkvView(qkv_TX, size)];
          const parts: Tensor[] = [];
          let next = 0;
          for (const set of sets) {
            const [from, to] = set.tokens;
            // All are computed, so that a token has the same bits whatever the range.
            const y = promptAttention(backend, past, { qkv, kv: kvOf(set, size), gate_H: set.gate_H }, size);
            parts.push(part(tf, past, 0, next, from), part(tf, y, 0, from, to));
            next = to;
          }
          return tf.concat([...parts, part(tf, past, 0, next, T)]);
        }),
      );
    },
    promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, size) {
      checkPromptSets("promptAttentionBackward", sets, size);
      const { T, H, G, d } = size;
      return sets.map((set) => {
        const [from, to] = set.tokens;
        if (from === to) {
          const zeros = compute(() => ({ dkv: tf.zerosLike(kvOf(set, size)), dgate: tf.zeros([H]) }));
          return { dkv_KY: own(zeros.dkv), dgate_H: own(zeros.dgate) };
        }
        const { dq, dkv, dgate } = compute(() => {
          const [qkv, dO] = [qkvView(qkv_TX, size), view(do_TQ, [T, H, d])].map((all) => part(tf, all, 0, from, to));
          const input = { qkv: qkv as Tensor, kv: kvOf(set, size), gate_H: set.gate_H };
          return promptAttentionBackward(backend, dO as Tensor, input, { ...size, T: to - from });
        });
        if (dqkv_TX) {
          const places: [number, number][] = [
            [from, T - to],
            [0, 2 * G],
            [0, 0],
          ];
          replace(
            dqkv_TX,
            compute(() => tf.add(qkvView(dqkv_TX, size), tf.pad(dq, places))),
          );
        }
        dq.dispose();
        return { dkv_KY: own(dkv), dgate_H: own(dgate) };
      });
    },

    headLoss(y, head, labels_R, { R, D, cells }) {
      for (const label of labels_R) {
        if (!(label >= 0 && label < head.rows)) {
          throw new RangeError(`Cannot score label ${label}: the head has ${head.rows} rows`);
        }
      }
      const loss = compute(() => ({ ...headLoss(backend, view(y, [R, D]), weight(head), labels_R, cells) }));
      const losses = { nll_R: own(loss.nll_R), hit_R: own(loss.hit_R) };
      return loss.dy_RD ? { ...losses, dy_RD: own(loss.dy_RD) } : losses;
    },
  };
}

/** The numbers of a weight where they lie. */
function checkedWeight({ dtype, shape, bytes }: HostTensor): { rows: number; columns: number; values: Float32Array } {
  if (dtype !== "f32") throw new TypeError(`Cannot use ${dtype} weights in a tfjs engine: widen them to f32`);
  const [rows = 0, columns = 1] = shape;
  if (shape.length > 2 || bytes.byteLength !== 4 * rows * columns) {
    const found = `f32 [${shape.join(", ")}] in ${bytes.byteLength} bytes`;
    throw new RangeError(`Cannot use a weight: it is ${found}, one or two dimensions and 4 bytes a number are needed`);
  }
  return { rows, columns, values: new Float32Array(bytes.buffer, bytes.byteOffset, rows * columns) };
}
