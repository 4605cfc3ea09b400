import { formatCount, formatDuration, formatLoss, formatShare, formatSmall } from "@zerogate/trainer";
import { expect, test } from "vitest";
import { fitLine, oneLine, visibleWidth } from "./fit.ts";
import { progressBar } from "./progress_bar.ts";
import { sparkline } from "./sparkline.ts";

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
  expect([1.23456, 0, 0.0004, 12_345, Number.NaN].map(formatLoss)).toEqual([
    "1.2346",
    "0.0000",
    "4.00e-4",
    "1.23e+4",
    "NaN",
  ]);
  expect([0.005, 0, 0.7321, 12.34, -0.5, 54_321].map(formatSmall)).toEqual([
    "5.00e-3",
    "0",
    "0.732",
    "12.3",
    "-0.500",
    "5.43e+4",
  ]);
  expect([0, 0.29, 0.999, 1, 1.2].map(formatShare)).toEqual(["0%", "29%", "99%", "100%", "100%"]);
});

test("a sparkline spans its own range, averages what does not fit and shows what is not a number", () => {
  expect(sparkline([3, 2, 1, 0], 10)).toBe("█▆▃▁");
  expect(sparkline([0, 2, 4, 6], 2)).toBe("▁█");
  expect(sparkline([1, 1, 1], 10)).toBe("▄▄▄");
  expect(sparkline([1, Number.NaN, 0], 10)).toBe("█×▁");
  expect(sparkline([], 10)).toBe("");
  expect(sparkline([Number.NaN], 10)).toBe("×");
});

test("a progress bar moves in eighths, is always as wide as asked, and survives any share", () => {
  expect(progressBar(0.5, 4)).toBe("██░░");
  expect(progressBar(0.3, 4)).toBe("█▎░░");
  expect([-1, 2, Number.NaN].map((share) => progressBar(share, 3))).toEqual(["░░░", "███", "░░░"]);
  for (let i = 0; i <= 100; i++) expect(progressBar(i / 100, 7)).toHaveLength(7);
});

test("a coloured line is cut by what is seen of it, and its colour is closed", () => {
  const red = "\u001b[31mabcdef\u001b[39m";
  expect(visibleWidth(red)).toBe(6);
  expect(fitLine(red, 6)).toBe(red);
  expect(fitLine(red, 4)).toBe("\u001b[31mabc\u001b[39m\u001b[0m…");
  expect(visibleWidth(fitLine(red, 4))).toBe(4);
  expect(fitLine("abc", 0)).toBe("");
  expect(visibleWidth("模型🙂a")).toBe(7);
  expect(fitLine("模型🙂a", 6)).toBe("模型…");
});

test("text from elsewhere cannot steer the terminal", () => {
  expect(oneLine("a\u001b[2Jb\nc\u0007\u009b31md")).toBe("ab c d");
});
