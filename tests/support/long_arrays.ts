/** Compares long arrays at once: those of one type and the same bytes are equal, all others are compared number by number. */
import { expect } from "vitest";

// In a module of its own: files that share a process add it once.
expect.addEqualityTesters([
  (a: unknown, b: unknown) => {
    if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined;
    const [left, right] = [a, b].map((view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength));
    return left && right && left.equals(right) ? true : undefined;
  },
]);
