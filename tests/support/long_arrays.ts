import { expect } from "vitest";

let isAdded = false;

/**
 * Compares long arrays at once from now on: those of one type and the same bytes are equal, all others are compared number by number.
 * Files that share a process share this.
 */
export function compareLongArraysAtOnce(): void {
  if (isAdded) return;
  isAdded = true;
  expect.addEqualityTesters([
    (a: unknown, b: unknown) => {
      if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined;
      const [left, right] = [a, b].map((view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength));
      return left && right && left.equals(right) ? true : undefined;
    },
  ]);
}
