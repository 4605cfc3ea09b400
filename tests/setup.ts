/** Library code never prints: a test in which something reaches the console fails. */
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
