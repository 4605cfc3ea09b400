/** Library code never prints: a test in which something reaches the console fails. Buffers are equal if their bytes are. */
import { afterEach, beforeEach, expect, vi } from "vitest";
import { compareLongArraysAtOnce } from "./support/long_arrays.ts";

compareLongArraysAtOnce();

const methods = ["log", "info", "warn", "error", "debug"] as const;

beforeEach(() => {
  for (const method of methods) vi.spyOn(console, method);
});

afterEach(() => {
  for (const method of methods) {
    const calls = vi.mocked(console[method]).mock.calls;
    vi.mocked(console[method]).mockRestore();
    expect(calls, `console.${method} was called`).toEqual([]);
  }
});

const isBuffer = (value: unknown): value is ArrayBufferLike =>
  value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;

/** Vitest compares the fields of objects, of which these have none: any two of them would be equal. */
expect.addEqualityTesters([
  (a: unknown, b: unknown) =>
    isBuffer(a) && isBuffer(b) ? Buffer.compare(new Uint8Array(a), new Uint8Array(b)) === 0 : undefined,
]);
