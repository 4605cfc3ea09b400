/** Ends the work of an engine between two of its operations, whichever engine it is. */
import type { Engine } from "./engine.ts";

/** What gives things back works on: arenas must end, also those of cancelled work. */
const lifetimes: ReadonlySet<string> = new Set<keyof Engine>(["arena", "free", "freeCache", "keep"]);

/**
 * The engine, whose operations throw once element 0 of `cancel` is not 0. The flag usually lies over shared memory: a thread
 * that computes hears of nothing else, and one in native code cannot even be terminated before it comes back.
 */
export function cancellable<E extends Engine>(engine: E, cancel: Int32Array): E {
  const guarded = Object.entries(engine).map(([name, value]: [string, unknown]) => {
    if (typeof value !== "function" || lifetimes.has(name)) return [name, value];
    const operation = (...args: readonly unknown[]): unknown => {
      if (Atomics.load(cancel, 0) !== 0) throw new Error(`Cannot run ${name}: the work was cancelled`);
      return value(...args);
    };
    return [name, operation];
  });
  return Object.fromEntries(guarded) as E;
}
