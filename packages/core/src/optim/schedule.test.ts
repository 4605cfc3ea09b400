import { expect, test } from "vitest";
import { effectiveLearningRate, type LearningRateSchedule, learningRate } from "./schedule.ts";

/** Spec case E4: the paper's recipe, W = 2 and E = 5 epochs; 1626 steps an epoch so that half epochs are steps. */
const stepsPerEpoch = 1626;
const paper: LearningRateSchedule = {
  shape: "cosine",
  peak: effectiveLearningRate(9e-3, 32),
  minimum: 0,
  warmupSteps: 2 * stepsPerEpoch,
  totalSteps: 5 * stepsPerEpoch,
};

test("the paper's schedule has the learning rates of its code [E4]", () => {
  expect(paper.peak).toBe(1.125e-3);
  const at = (epoch: number) => learningRate(paper, epoch * stepsPerEpoch);
  expect([0, 0.5, 1, 2, 3.5].map(at)).toEqual([0, 2.8125e-4, 5.625e-4, 1.125e-3, 5.625e-4]);
  expect(at(2.5)).toBeCloseTo(1.04964e-3, 8);
  expect(at(4)).toBeCloseTo(2.8125e-4, 15);
  expect(at(5)).toBe(0);
  expect(at(6)).toBe(0);
});

test("linear and constant shapes follow the same warm-up", () => {
  const linear: LearningRateSchedule = { shape: "linear", peak: 1, minimum: 0.5, warmupSteps: 4, totalSteps: 12 };
  expect([0, 1, 4, 8, 12, 99].map((step) => learningRate(linear, step))).toEqual([0, 0.25, 1, 0.75, 0.5, 0.5]);
  const constant: LearningRateSchedule = { ...linear, shape: "constant" };
  expect([0, 2, 4, 99].map((step) => learningRate(constant, step))).toEqual([0, 0.5, 1, 1]);
});

test("without warm-up the first step has the peak, and a warm-up may end between two steps", () => {
  const schedule: LearningRateSchedule = { shape: "cosine", peak: 2, minimum: 0, warmupSteps: 0, totalSteps: 10 };
  expect(learningRate(schedule, 0)).toBe(2);
  const fraction = { ...schedule, warmupSteps: 1.5 };
  expect(learningRate(fraction, 1)).toBeCloseTo(4 / 3, 12);
  expect(learningRate(fraction, 2)).toBeCloseTo(1 + Math.cos((Math.PI * 0.5) / 8.5), 12);
});

test("a run that is all warm-up ends at the minimum", () => {
  const schedule: LearningRateSchedule = { shape: "cosine", peak: 2, minimum: 0.5, warmupSteps: 4, totalSteps: 4 };
  expect([3, 4].map((step) => learningRate(schedule, step))).toEqual([1.5, 0.5]);
});
