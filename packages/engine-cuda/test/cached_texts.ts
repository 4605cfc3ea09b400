/** Attention of few queries over many cached keys, split over its keys or not. */
import type { Engine, KvCache } from "@zerogate/core/engine";
import { vi } from "vitest";
import { single, wave } from "../../core/test/numeric.ts";
import { type CudaEngine, createEngine } from "../src/engine.ts";
import { fakeEnv } from "./fake.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

const engines = new Map<string, CudaEngine>();
/** On a GPU of 132 multiprocessors few queries are split, on one that is busy at once none are. */
export function open(multiprocessors: "132" | "0"): CudaEngine {
  vi.stubEnv("EMU_SMS", multiprocessors);
  const engine = engines.get(multiprocessors) ?? createEngine({ compute: "f32", tune: false });
  engines.set(multiprocessors, engine);
  return engine;
}
/** For the end of a file. */
export function close(): void {
  for (const engine of engines.values()) engine.close();
}

const heads = { H: 4, G: 2, d: 6 };
const X = 48;

/** Outputs of texts that have `past` tokens in their caches, for a new token of each. */
export async function decoded(
  engine: Engine,
  past: readonly number[],
  window: number,
  cap?: number,
): Promise<Float32Array> {
  const size = { ...heads, window, ...(cap !== undefined && { cap }) };
  const caches: KvCache[] = past.map((length) => engine.kvCache(length + 100, 24));
  return engine
    .arena(async () => {
      for (const [s, length] of past.entries()) {
        // Scores that grow along the text, so that the largest one moves from part to part.
        const before = single(wave(length * X, 0.4)).map((x, i) => x * (1 + i / 20_000));
        const cu = Int32Array.of(0, length);
        engine.cachedAttention(engine.upload(before), caches.slice(s, s + 1), Int32Array.of(0), cu, {
          ...size,
          T: length,
        });
      }
      const T = past.length;
      const now = Float32Array.from({ length: T * X }, (_, i) => Math.sin(1.3 * (i % X) + past[Math.floor(i / X)]));
      const cu = Int32Array.from({ length: T + 1 }, (_, s) => s);
      return engine.read(engine.cachedAttention(engine.upload(now), caches, Int32Array.from(past), cu, { ...size, T }));
    })
    .finally(() => {
      for (const cache of caches) engine.freeCache(cache);
    });
}
