/** An engine that does what another does, and records what it was asked and what it still holds. */
import type { DeviceArray, Engine, KvCache } from "../src/engine/engine.ts";
import { createReferenceEngine } from "../src/engine/reference.ts";

export interface RecordingEngine {
  readonly engine: Engine;
  /** Arguments of every call of an operation so far. */
  readonly calls: <Name extends keyof Engine>(
    name: Name,
  ) => Parameters<Extract<Engine[Name], (...args: never) => unknown>>[];
  /** Most float32 numbers that were alive at one time since the last call of this. */
  readonly takePeak: () => number;
  /** Arrays that live now: outside of an arena those that were kept. */
  readonly live: ReadonlySet<DeviceArray>;
  readonly caches: ReadonlySet<KvCache>;
}

/** Around a reference engine; one user at a time. */
export function recordingEngine(): RecordingEngine {
  const inner = createReferenceEngine();
  const recorded: [name: PropertyKey, args: unknown[]][] = [];
  const live = new Set<DeviceArray>();
  const kept = new Set<DeviceArray>();
  const caches = new Set<KvCache>();
  let peak = 0;

  const own: Partial<Engine> = {
    free(...arrays) {
      inner.free(...arrays);
      for (const array of arrays) if (array) for (const set of [live, kept]) set.delete(array);
    },
    keep(...arrays) {
      inner.keep(...arrays);
      for (const array of arrays) kept.add(array);
    },
    arena: (work) =>
      inner.arena(work).finally(() => {
        for (const array of live) if (!kept.has(array)) live.delete(array);
      }),
    read: (array) => inner.read(array),
    kvCache(...args) {
      const cache = inner.kvCache(...args);
      caches.add(cache);
      return cache;
    },
    freeCache(cache) {
      inner.freeCache(cache);
      caches.delete(cache);
    },
    matrix: (tensor) => inner.matrix(tensor),
  };

  const engine = new Proxy(inner, {
    get(target, name: keyof Engine) {
      const method = own[name] ?? target[name];
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        recorded.push([name, args]);
        const result: unknown = Reflect.apply(method, target, args);
        if (!(name in own)) for (const array of arraysOf(result)) live.add(array);
        peak = Math.max(
          peak,
          [...live].reduce((sum, { length }) => sum + length, 0),
        );
        return result;
      };
    },
  });

  return {
    engine,
    calls: (name) => recorded.flatMap(([called, args]) => (called === name ? [args as never] : [])),
    takePeak: () => {
      const taken = peak;
      peak = 0;
      return taken;
    },
    live,
    caches,
  };
}

/** Operations return one array, or several as fields of an object. */
function arraysOf(result: unknown): Float32Array[] {
  if (result instanceof Float32Array) return [result];
  return Object.values(result ?? {}).filter((value) => value instanceof Float32Array);
}
