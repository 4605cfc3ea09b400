import fc from "fast-check";
import { expect, test } from "vitest";
import { createFingerprints } from "./fingerprints.ts";

test("each thing is numbered, and finds the first that is equal, however many were expected", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 100 }), fc.nat(200), (list, expected) => {
      const seen = createFingerprints(expected);
      expect(list.map((thing) => seen.add(String(thing)))).toEqual(list.map((thing) => list.indexOf(thing)));
      expect(seen.count).toBe(list.length);
      expect([...list, 41].map((thing) => seen.find(String(thing)))).toEqual([...list, 41].map((t) => list.indexOf(t)));
    }),
  );
});

test("thousands more than were expected are all found again", () => {
  const seen = createFingerprints();
  const bytes = (i: number) => Uint8Array.of(i, i >> 8, i >> 16);
  for (let i = 0; i < 20_000; i++) expect(seen.add(bytes(i % 15_000))).toBe(i % 15_000);
  for (let i = 0; i < 15_000; i += 7) expect(seen.find(bytes(i))).toBe(i);
  expect(seen.find(bytes(15_000))).toBe(-1);
});
