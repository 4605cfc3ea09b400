import { expect, test } from "vitest";
import { fitLine, oneLine, visibleWidth } from "./fit.ts";
import { progressBar } from "./progress_bar.ts";
import { sparkline } from "./sparkline.ts";

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
