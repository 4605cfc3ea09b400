import { resolveConfig } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { scheduleOf, shortenWarmup, totalStepsOf } from "./run_length.ts";

test.each([
  [3, 7, 21],
  [0.5, 7, 4], // 3.5: a half up
  [0.5, 8, 4],
  [2.5, 5, 13], // 12.5
  [0.1, 30, 3],
  [0.7, 10, 7],
  [1.005, 100, 101], // 100.5 in decimals, 100.49999999999999 in binary
  [1.0049, 100, 100],
  [0.01, 10, 1],
  [1e-9, 1, 1],
  [1e3, 3, 3000],
  [123456.789, 1000, 123456789],
])("%d epochs of %d steps are %d steps [T-D11]", (epochs, stepsPerEpoch, steps) => {
  expect(totalStepsOf({ epochs }, stepsPerEpoch)).toBe(steps);
});

test("steps win, and epochs that cannot be counted are refused [T-D11]", () => {
  expect(totalStepsOf({ steps: 9, epochs: undefined }, 7)).toBe(9);
  expect(() => totalStepsOf({ epochs: 1e300 }, 7)).toThrow("epochs is 1e+300, too many to be counted in steps");
});

const config = (flags: Readonly<Record<string, unknown>>, preset?: string) =>
  resolveConfig({ preset, flags: { model: "m", data: ["d"], out: "o", ...flags } });

function shortened(flags: Readonly<Record<string, unknown>>, stepsPerEpoch: number, preset?: string) {
  const warnings: string[] = [];
  const asked = config(flags, preset);
  const total = totalStepsOf(asked, stepsPerEpoch);
  const fitted = shortenWarmup(asked, scheduleOf(asked, stepsPerEpoch, total), (message) => warnings.push(message));
  const { warmupSteps, peak } = scheduleOf(fitted, stepsPerEpoch, total);
  return { warmupSteps, peak, warnings, isSame: fitted === asked, ratio: fitted.warmupRatio };
}

test("a warm-up longer than the run takes a share of it, and a note says so [T-D5]", () => {
  expect(shortened({ steps: "3" }, 100, "quick")).toEqual({
    warmupSteps: 0,
    peak: 0.01,
    isSame: false,
    ratio: 0.03,
    warnings: ["the warm-up of 5 steps is longer than the run's 3 steps: it takes 3 % of them, 0 steps"],
  });
  expect(shortened({ steps: "100" }, 500, "paper")).toMatchObject({ warmupSteps: 3, ratio: 0.03 });
  expect(shortened({ epochs: "1" }, 100, "paper")).toMatchObject({ warmupSteps: 3, ratio: 0.03 });
  expect(shortened({ epochs: "0.1" }, 30, "quick")).toMatchObject({ warmupSteps: 0, ratio: 0.03 });
});

test("without any warm-up the learning rate begins at its peak", () => {
  const { warmupRatio: _, ...without } = config({ steps: "10" });
  expect(scheduleOf(without as ReturnType<typeof config>, 5, 10)).toMatchObject({ warmupSteps: 0 });
});

test("a warm-up that the run has room for stays, one that takes all of it is reported [T-D5]", () => {
  expect(shortened({ steps: "300" }, 100, "paper")).toMatchObject({ warmupSteps: 200, isSame: true, warnings: [] });
  expect(shortened({ steps: "6" }, 100, "quick")).toMatchObject({ warmupSteps: 5, isSame: true, warnings: [] });
  const all = shortened({ steps: "5" }, 100, "quick");
  expect(all).toMatchObject({ warmupSteps: 5, isSame: true });
  expect(all.warnings).toEqual([
    "the warm-up takes the run's 5 steps: the learning rate never reaches its peak (see warmupRatio)",
  ]);
});
