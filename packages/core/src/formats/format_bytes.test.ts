import { expect, test } from "vitest";
import { formatBytes } from "./format_bytes.ts";

test("sizes have three digits at most, and the unit that people use for them", () => {
  const sizes = [0, 812, 999, 999.6, 4_919_000, 99_949_999, 99_960_000, 999_500, 4_938_985_352, 2e15];
  const shown = "0 B, 812 B, 999 B, 1.0 kB, 4.9 MB, 99.9 MB, 100 MB, 1.0 MB, 4.9 GB, 2000 TB";
  expect(sizes.map(formatBytes).join(", ")).toBe(shown);
});
