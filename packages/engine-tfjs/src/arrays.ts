/** The arrays of one engine: tensors that live until they are freed, and work whose temporaries do not. */
import { type Arena, createArena, type DeviceArray } from "@zerogate/core/engine";
import type { Backend, Tensor } from "./tf.ts";

/** Written once by the operation that makes it, and again by those that work in place. */
export interface TfjsArray extends DeviceArray {
  tensor: Tensor | undefined;
}

export interface Arrays {
  readonly lifetimes: Pick<Arena<TfjsArray>, "free" | "keep" | "arena">;
  /** Runs a composite on this engine's backend (another engine of this thread may have another); its temporaries are freed. */
  compute<Result extends Tensor | { readonly [name: string]: Tensor }>(work: () => Result): Result;
  /** Makes an array of a tensor. */
  own(tensor: Tensor): TfjsArray;
  /** Throws a RangeError if the array is free already. */
  view(array: DeviceArray, shape: readonly number[]): Tensor;
  /** Gives an array another tensor. */
  replace(array: DeviceArray, tensor: Tensor): void;
}

export function openArrays(backend: Backend): Arrays {
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
  return {
    lifetimes,
    compute(work) {
      // A backend that starts meanwhile sets the name first and the instance later: each alone may be another's.
      if (tf.getBackend() !== backend.id || tf.backend() !== instance) void tf.setBackend(backend.id);
      return tf.tidy(work);
    },
    own(tensor) {
      const array = take(tensor.size);
      array.tensor = tensor;
      return array;
    },
    view(array, shape) {
      const { tensor } = array as TfjsArray;
      if (!tensor) throw new RangeError("Cannot use an array: it is free already");
      return tf.reshape(tensor, [...shape]);
    },
    replace(array, tensor) {
      (array as TfjsArray).tensor?.dispose();
      (array as TfjsArray).tensor = tensor;
    },
  };
}
