import { expect, test } from "vitest";
import { formatCount, formatDuration, formatLoss, formatShare, formatSmall } from "./format.ts";

test("durations use two units and never show 60 of anything", () => {
  const seconds = [0, 0.44, 9.94, 9.96, 59.4, 59.6, 185, 3599.4, 3599.6, 7620, 86_399, 90_000];
  expect(seconds.map((s) => formatDuration(1000 * s))).toEqual([
    "0.0 s",
    "0.4 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1m 00s",
    "3m 05s",
    "59m 59s",
    "1h 00m",
    "2h 07m",
    "1d 00h",
    "1d 01h",
  ]);
  expect([formatDuration(-5), formatDuration(Number.POSITIVE_INFINITY)]).toEqual(["0.0 s", "–"]);
});

test("counts, losses, small numbers and shares", () => {
  expect(formatCount(52_002)).toBe("52,002");
  expect([1.23456, 0, -0.0004, 0.001, 999.9, 1000, 12_345, Number.NaN].map(formatLoss)).toEqual([
    "1.2346",
    "0.0000",
    "-4.00e-4",
    "0.0010",
    "999.9000",
    "1.00e+3",
    "1.23e+4",
    "NaN",
  ]);
  expect([0.005, 0, 0.01, 0.7321, 12.34, -0.5, 999, 1000, 54_321, Number.NEGATIVE_INFINITY].map(formatSmall)).toEqual([
    "5.00e-3",
    "0",
    "0.0100",
    "0.732",
    "12.3",
    "-0.500",
    "999",
    "1.00e+3",
    "5.43e+4",
    "-Infinity",
  ]);
  expect([0, 0.29, 0.999, 1, 1.2].map(formatShare)).toEqual(["0%", "29%", "99%", "100%", "100%"]);
});
