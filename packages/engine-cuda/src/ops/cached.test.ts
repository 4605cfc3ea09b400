/** Attention of few queries over many cached keys: split over its keys or not, alone or beside others, it has the same bits. */
import { createReferenceEngine } from "@zerogate/core";
import type { Engine, KvCache } from "@zerogate/core/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { expectClose, single, wave } from "../../../core/test/numeric.ts";
import { absent, fakeEnv, onRealGpu } from "../../test/fake.ts";
import { type CudaEngine, createEngine } from "../engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

const engines = new Map<string, CudaEngine>();
/** On a GPU of 132 multiprocessors few queries are split, on one that is busy at once none are. */
function open(multiprocessors: "132" | "0"): CudaEngine {
  vi.stubEnv("EMU_SMS", multiprocessors);
  const engine = engines.get(multiprocessors) ?? createEngine({ compute: "f32", tune: false });
  engines.set(multiprocessors, engine);
  return engine;
}
afterAll(() => {
  for (const engine of engines.values()) engine.close();
});

const heads = { H: 4, G: 2, d: 6 };
const X = 48;

/** Outputs of texts that have `past` tokens in their caches, for a new token of each. */
async function decoded(engine: Engine, past: readonly number[], window: number, cap?: number): Promise<Float32Array> {
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

const unable = onRealGpu ? " (skipped: only the emulator has GPUs of any size)" : absent;

describe.skipIf(unable !== "")(`attention over many cached keys${unable}`, () => {
  test.each([
    { past: [700], window: 0 },
    { past: [700, 30, 255, 256, 257], window: 0 },
    { past: [700, 511], window: 300 },
    { past: [600], window: 0, cap: 0.7 },
  ])("past $past, window $window, cap $cap", async ({ past, window, cap }) => {
    const split = await decoded(open("132"), past, window, cap);
    const right = await decoded(createReferenceEngine(), past, window, cap);
    expectClose(split, Float64Array.from(right), 2e-5, "o");
    expect(await decoded(open("0"), past, window, cap)).toEqual(split);
  });

  test("a text has the bits that it has alone", async () => {
    const all = [700, 30, 300];
    const together = await decoded(open("132"), all, 0);
    for (const [s, past] of all.entries()) {
      expect(together.subarray(s * 24, (s + 1) * 24)).toEqual(await decoded(open("132"), [past], 0));
    }
  });

  test("only few queries are split", async () => {
    vi.stubEnv("EMU_FAIL", "attend_parts:1");
    await expect(decoded(open("132"), [300], 0)).rejects.toThrow("attend_parts");
    await expect(decoded(open("0"), [300], 0)).resolves.toHaveLength(24);
    vi.stubEnv("EMU_FAIL", "");
  });
});
