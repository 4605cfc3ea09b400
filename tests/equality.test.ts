/** What tests take for equal. */
import { expect, test } from "vitest";

test.each([
  ["ArrayBuffer", (length: number) => new ArrayBuffer(length)],
  ["SharedArrayBuffer", (length: number) => new SharedArrayBuffer(length)],
])("%s: equal are those of the same bytes", (_, make) => {
  const of = (...bytes: number[]) => {
    const buffer = make(bytes.length);
    new Uint8Array(buffer).set(bytes);
    return { buffer };
  };
  expect(of(1, 2)).toEqual(of(1, 2));
  expect(of(1, 2)).not.toEqual(of(1, 3));
  expect(of(1, 2)).not.toEqual(of(1, 2, 0));
});
