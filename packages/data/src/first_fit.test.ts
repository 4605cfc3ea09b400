import fc from "fast-check";
import { expect, test } from "vitest";
import { firstFit } from "./first_fit.ts";

/** By its definition, a look at every bin for every size. */
function plainFirstFit(sizes: readonly number[], capacity: number): number[] {
  const rooms: number[] = [];
  return sizes.map((size) => {
    const found = rooms.findIndex((room) => room >= size);
    const bin = found < 0 ? rooms.length : found;
    rooms[bin] = (rooms[bin] ?? capacity) - size;
    return bin;
  });
}

test("every size goes to the first bin with room, and one that is too large to a bin of its own", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 70 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 90 }), (list, capacity) => {
      expect([...firstFit(Int32Array.from(list), capacity)]).toEqual(plainFirstFit(list, capacity));
    }),
  );
});

test("half a million sizes are packed without a look at every bin for each of them", () => {
  const sizes = Int32Array.from({ length: 500_000 }, (_, i) => 20 + ((i * 7919) % 480)).toSorted((a, b) => b - a);
  const bins = firstFit(sizes, 2048);
  const filled = new Float64Array(bins.reduce((most, bin) => Math.max(most, bin), 0) + 1);
  for (const [i, bin] of bins.entries()) filled[bin] = filled[bin]! + sizes[i]!;
  expect(filled.every((tokens) => tokens > 0 && tokens <= 2048)).toBe(true);
  const least = sizes.reduce((sum, size) => sum + size, 0) / 2048;
  expect(filled.length).toBeLessThan((11 / 9) * least + 1);
});
