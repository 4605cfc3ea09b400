import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addFixedPoint, addSums, createFixedPointSum, type FixedPointSum, readFixedPoint } from "./fixed_point.ts";

/** rint(g · 2⁴⁸) in integers: a float32 below 512 is m · 2⁻¹⁴⁹ with an integer m, so 2¹⁰¹ of those make one unit. */
function unitsOf(g: number): bigint {
  const whole = Math.trunc(g * 2 ** 100);
  const m = BigInt(whole) * 2n ** 49n + BigInt((g * 2 ** 100 - whole) * 2 ** 49);
  const one = 2n ** 101n;
  const floor = (m - (((m % one) + one) % one)) / one;
  const twiceRest = 2n * (m - floor * one);
  return twiceRest > one || (twiceRest === one && floor % 2n !== 0n) ? floor + 1n : floor;
}

/** The float32 nearest to `units` · 2⁻⁴⁸, ties to even, in integers. */
function nearestFloat32(units: bigint): number {
  const magnitude = units < 0n ? -units : units;
  const drop = BigInt(Math.max(0, magnitude.toString(2).length - 24));
  const half = drop === 0n ? 0n : 1n << (drop - 1n);
  let kept = magnitude >> drop;
  const rest = magnitude - (kept << drop);
  if (drop > 0n && (rest > half || (rest === half && kept % 2n === 1n))) kept++;
  return (units < 0n ? -1 : 1) * Number(kept << drop) * 2 ** -48;
}

const integers = (sum: FixedPointSum) => Array.from(new BigInt64Array(sum.buffer, sum.byteOffset, sum.length / 2));
const sumOf = (...units: bigint[]) => new Int32Array(BigInt64Array.from(units).buffer);
const read = (sum: FixedPointSum) => {
  const out = new Float32Array(sum.length / 2);
  readFixedPoint(sum, out);
  return out;
};

/** All magnitudes below 512 alike, and more of the ones where rounding and carries happen. */
const addend = fc.oneof(
  fc.float({ min: -512, max: 512, minExcluded: true, maxExcluded: true, noNaN: true }),
  fc
    .tuple(fc.integer({ min: -(2 ** 24), max: 2 ** 24 }), fc.integer({ min: -75, max: -16 }))
    .map(([m, e]) => m * 2 ** e),
);
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc
    .tuple(
      fc.bigInt({ min: -(2n ** 25n), max: 2n ** 25n }),
      fc.integer({ min: 0, max: 38 }),
      fc.integer({ min: -2, max: 2 }),
    )
    .map(([m, shift, nudge]) => BigInt.asIntN(64, (m << BigInt(shift)) + BigInt(nudge))),
);

test("addFixedPoint adds rint(g · 2⁴⁸) for every magnitude, with negative carries", () => {
  const property = fc.property(int64, addend, (start, g) => {
    fc.pre(Math.abs(g) < 512 && Math.fround(g) === g);
    const sum = sumOf(start);
    expect(addFixedPoint(sum, Float32Array.of(g))).toBe(0);
    expect(integers(sum)).toEqual([BigInt.asIntN(64, start + unitsOf(g))]);
  });
  fc.assert(property, { numRuns: 5000 });
});

test("addFixedPoint rounds ties to even", () => {
  const halves = Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.4999999701976776, -(2 ** -60)).map(
    (x) => x * 2 ** -48,
  );
  const sum = createFixedPointSum(halves.length);
  addFixedPoint(sum, halves);
  expect(integers(sum)).toEqual([0n, 2n, 2n, 0n, -2n, -2n, 0n, 0n]);
});

test("addFixedPoint carries over the word boundary in both directions", () => {
  const unit = 2 ** -48;
  const sum = sumOf(2n ** 32n - 1n, 0n, -1n, -(2n ** 32n), 2n ** 31n);
  addFixedPoint(sum, Float32Array.of(unit, -unit, unit, -unit, 2 ** 31 * unit));
  expect(integers(sum)).toEqual([2n ** 32n, -1n, 0n, -(2n ** 32n) - 1n, 2n ** 32n]);
});

test("addFixedPoint counts what is not finite or not below the limit, and adds 0 for it", () => {
  const below512 = 511.9999694824219;
  const sum = createFixedPointSum(7);
  const gradient = Float32Array.of(
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    512,
    -512,
    below512,
    -below512,
  );
  expect(addFixedPoint(sum, gradient)).toBe(5);
  expect(integers(sum)).toEqual([0n, 0n, 0n, 0n, 0n, unitsOf(below512), unitsOf(-below512)]);
  expect(addFixedPoint(createFixedPointSum(2), Float32Array.of(1, 0.99), 1)).toBe(1);
});

test("64 addends of the largest magnitude do not overflow", () => {
  const below512 = 511.9999694824219;
  const sum = createFixedPointSum(2);
  for (let i = 0; i < 64; i++) addFixedPoint(sum, Float32Array.of(below512, -below512));
  expect(read(sum)).toEqual(Float32Array.of(64 * below512, -64 * below512));
});

test("any order and any partition over slots gives the same bits", () => {
  const cells = fc.array(fc.array(addend, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 12 });
  const property = fc.property(
    cells,
    fc.infiniteStream(fc.nat(3)),
    fc.infiniteStream(fc.nat()),
    (gradients, slotOf, key) => {
      const inOrder = createFixedPointSum(3);
      for (const g of gradients) addFixedPoint(inOrder, Float32Array.from(g));
      const shuffled = gradients.map((g) => ({ g, key: key.next().value })).toSorted((a, b) => a.key - b.key);
      const slots = [0, 1, 2, 3].map(() => createFixedPointSum(3));
      for (const { g } of shuffled) addFixedPoint(slots[slotOf.next().value], Float32Array.from(g));
      const total = createFixedPointSum(3);
      for (const slot of slots.toReversed()) addSums(total, slot);
      expect(total).toEqual(inOrder);
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("addSums adds any int64", () => {
  const property = fc.property(int64, int64, (a, b) => {
    const sum = sumOf(a);
    addSums(sum, sumOf(b));
    expect(integers(sum)).toEqual([BigInt.asIntN(64, a + b)]);
  });
  fc.assert(property, { numRuns: 3000 });
});

test("readFixedPoint gives the nearest float32 of any sum, rounded once", () => {
  const property = fc.property(int64, (units) => {
    expect(read(sumOf(units))[0]).toBe(nearestFloat32(units) || 0);
  });
  fc.assert(property, { numRuns: 5000 });
});

test("readFixedPoint rounds once if float64 on the way would land on a float32 tie", () => {
  // 2⁶⁰ + 2³⁶ is half a float32 step above 2⁶⁰; float64 loses the last unit, and ties to even would then go down.
  const units = 2n ** 60n + 2n ** 36n + 1n;
  expect(Math.fround(Number(units))).toBe(2 ** 60);
  expect(read(sumOf(units, -units))).toEqual(Float32Array.of(2 ** 12 + 2 ** -11, -(2 ** 12) - 2 ** -11));
});

test("lengths and limits that do not fit are refused", () => {
  const sum = createFixedPointSum(2);
  expect(() => addFixedPoint(sum, new Float32Array(3))).toThrow(
    "Cannot use fixed-point sums: 2 numbers there, 3 are needed",
  );
  expect(() => addFixedPoint(sum, new Float32Array(2), 1024)).toThrow(
    "Cannot add a gradient: limit is 1024, above 0 and at most 512 is needed",
  );
});
