/** Core's Engine over TensorFlow.js: each operation is one tidy composite of its tensor operations, nothing is left behind. */
import {
  type DeviceArray,
  type Engine,
  type FlatName,
  type FlatOperation,
  type FlatRun,
  flatEngine,
  type HostTensor,
  type Matrix,
} from "@zerogate/core/engine";
import { type Arrays, openArrays, type TfjsArray } from "./arrays.ts";
import { attentions, promptAttentions, type TfjsCache } from "./attentions.ts";
import { openBackend } from "./backend.ts";
import { deltaNets } from "./delta.ts";
import { experts } from "./experts.ts";
import { type TfjsBackend, tfjsBackends } from "./names.ts";
import { flat, matrixShape } from "./ops/flat.ts";
import { headLoss } from "./ops/head_loss.ts";
import type { Backend, Tensor } from "./tf.ts";

/** Which of TensorFlow.js's backends computes. */
export interface TfjsEngineOptions {
  readonly backend: TfjsBackend;
}

interface TfjsMatrix extends Matrix {
  readonly tensor: Tensor;
}
// The engine makes every matrix and cache that it is given back.
const weight = (matrix: Matrix) => (matrix as TfjsMatrix).tensor;

/**
 * Opens an engine on one backend of TensorFlow.js. Its memory is of this thread; weights are copied into it once an engine,
 * but for `cpu`, which reads them where they lie.
 *
 * @throws InputError if the backend's packages are not installed (it says how to) or do not run here.
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
  const arrays = openArrays(backend);
  const { compute, own, lifetimes } = arrays;

  return {
    name: `tfjs/${name}/${backend.version}/f32`,
    weightDtypes: ["f32"],
    softCaps: true,
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

    ...flatEngine((operationName, operation) => flatOperation(backend, arrays, operationName, operation)),
    ...maps(backend, arrays),
    ...(name === "webgpu" ? {} : ofSomeBases(backend, arrays)),
    ...attentions(backend, arrays),
    ...promptAttentions(backend, arrays),

    headLoss(y, head, labels_R, { R, D, cap, cells }) {
      for (const label of labels_R) {
        if (!(label >= 0 && label < head.rows)) {
          throw new RangeError(`Cannot score label ${label}: the head has ${head.rows} rows`);
        }
      }
      const loss = compute(() => ({
        ...headLoss(backend, arrays.view(y, [R, D]), weight(head), labels_R, { cells, cap }),
      }));
      const losses = { nll_R: own(loss.nll_R), hit_R: own(loss.hit_R) };
      return loss.dy_RD ? { ...losses, dy_RD: own(loss.dy_RD) } : losses;
    },
  };
}

/** What needs to read without waiting. */
function ofSomeBases(backend: Backend, arrays: Arrays) {
  const own = experts(backend, arrays, weight);
  return { ...own, ...deltaNets(backend, arrays, own.readNow, weight) };
}

/** Its composite, over the tensors of what it is given. */
function flatOperation(
  backend: Backend,
  { compute, own, view }: Arrays,
  operationName: FlatName,
  { weights, rows, inputs, maybe }: FlatOperation,
): FlatRun {
  const { tf } = backend;
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

/** Tokens to rows, and products with a weight. */
function maps(backend: Backend, { compute, own, view }: Arrays): Pick<Engine, "embed" | "linear" | "linearBackward"> {
  const { tf } = backend;
  const plus = (y: Tensor, residual: DeviceArray | undefined) => (residual ? tf.add(y, view(residual, y.shape)) : y);
  return {
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
