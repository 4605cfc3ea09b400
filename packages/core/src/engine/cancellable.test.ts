import { expect, test } from "vitest";
import { cancellable } from "./cancellable.ts";
import { createReferenceEngine } from "./reference.ts";

test("once the flag is set every operation throws, what was allocated is freed, and clearing it lets work go on", async () => {
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const plain = createReferenceEngine();
  const engine = cancellable(plain, cancel);
  expect(Object.keys(engine)).toEqual(Object.keys(plain));
  const size = { T: 1, F: 1 };
  let kept = await engine.arena(async () => {
    const x = engine.upload(Float32Array.of(1, 2));
    engine.keep(x);
    return x;
  });
  const cancelled = engine.arena(async () => {
    engine.swiglu(kept, size);
    Atomics.store(cancel, 0, 1);
    engine.free(kept);
    expect(() => engine.read(kept)).toThrow("Cannot run read: the work was cancelled");
    expect(() => engine.upload(new Float32Array(1))).toThrow("Cannot run upload: the work was cancelled");
    return engine.swiglu(kept, size);
  });
  await expect(cancelled).rejects.toThrow("Cannot run swiglu: the work was cancelled");
  Atomics.store(cancel, 0, 0);
  const y = await engine.arena(async () => {
    kept = engine.upload(Float32Array.of(1, 2));
    return engine.read(engine.swiglu(kept, size));
  });
  expect(y[0]).toBeCloseTo(2 / (1 + Math.exp(-1)), 6);
});
