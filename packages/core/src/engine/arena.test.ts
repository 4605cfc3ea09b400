import { expect, test } from "vitest";
import { createArena } from "./arena.ts";

/** Where arrays come from and go to, written down. */
function recorded() {
  const calls: string[] = [];
  const store = {
    take: (length: number) => new Float32Array(length),
    recycle: (array: Float32Array) => void calls.push(`recycle ${array.length}`),
    endArena: () => void calls.push("end"),
  };
  return { ...createArena<Float32Array>(store), calls };
}

test("what an arena made and nobody kept goes back at its end, before the arena itself ends", async () => {
  const { take, keep, free, arena, calls } = recorded();
  const kept = await arena(async () => {
    const arrays = [take(1), take(2), take(3)];
    free(arrays[0], undefined);
    keep(...arrays.slice(2));
    return arrays[2];
  });
  expect(calls).toEqual(["recycle 1", "recycle 2", "end"]);
  free(kept);
  expect(calls).toEqual(["recycle 1", "recycle 2", "end", "recycle 3"]);
  expect(() => free(kept)).toThrow("Cannot free an array: it is free already");
  expect(() => keep(new Float32Array(1))).toThrow("Cannot keep an array: it is not of this arena");
});

test("work that fails gives back what it made, and the arena after it runs", async () => {
  const { take, arena, calls } = recorded();
  const failed = arena(async () => {
    take(4);
    throw new Error("broken");
  });
  const next = arena(async () => take(5).length);
  await expect(failed).rejects.toThrow("broken");
  expect(await next).toBe(5);
  expect(calls).toEqual(["recycle 4", "end", "recycle 5", "end"]);
});

test("arenas run one after another", async () => {
  const { arena } = recorded();
  const order: string[] = [];
  let go = (): void => {};
  const first = arena(async () => {
    await new Promise<void>((resolve) => (go = resolve));
    order.push("first");
  });
  const second = arena(async () => void order.push("second"));
  await new Promise((resolve) => setTimeout(resolve, 10));
  go();
  await Promise.all([first, second]);
  expect(order).toEqual(["first", "second"]);
});
