/** Decides who frees the arrays of an engine: the caller, or the arena that made them. The same for every engine. */
import type { DeviceArray, Engine } from "./engine.ts";

/** Where an engine's arrays come from and go to. */
export interface ArrayStore<A extends DeviceArray> {
  /** Returns a new array of this many numbers. */
  take(length: number): A;
  /** The array is not used again until `take` hands it out. */
  recycle(array: A): void;
  /** An arena has ended. Lengths differ from cell to cell: hold no memory between them. */
  endArena(): void;
}

/** Scopes of device memory: arrays taken in one are freed at its end, unless they are kept. */
export interface Arena<A extends DeviceArray> extends Pick<Engine, "free" | "keep" | "arena"> {
  /** Returns a new array, which the arena that runs frees at its end. */
  take(length: number): A;
}

/** Arenas run one after another; what is left at the end of one is freed, also after a failure. */
export function createArena<A extends DeviceArray>(store: ArrayStore<A>): Arena<A> {
  const live = new Set<DeviceArray>();
  const kept = new Set<DeviceArray>();
  let last: Promise<unknown> = Promise.resolve();

  function take(length: number): A {
    const array = store.take(length);
    live.add(array);
    return array;
  }

  function free(...arrays: readonly (DeviceArray | undefined)[]): void {
    for (const array of arrays) {
      if (array === undefined) continue;
      if (!live.delete(array) && !kept.delete(array)) throw new RangeError("Cannot free an array: it is free already");
      store.recycle(array as A); // it came from `take`
    }
  }

  function keep(...arrays: readonly DeviceArray[]): void {
    for (const array of arrays) {
      if (!live.delete(array)) throw new RangeError("Cannot keep an array: it is not of this arena");
      kept.add(array);
    }
  }

  function arena<T>(work: () => Promise<T>): Promise<T> {
    const run = last.then(work).finally(() => {
      free(...live);
      store.endArena();
    });
    last = run.catch(() => {}); // the caller hears of it; the next in line starts all the same
    return run;
  }

  return { take, free, keep, arena };
}
