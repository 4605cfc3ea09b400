/** The line of metrics of one step, from a report whose numbers are known. */
import { expect, test } from "vitest";
import { type StepReport, stepMetrics } from "./step_report.ts";

const device = (computeMs: number) => ({ computeMs });
const report = (changes: object) =>
  ({
    loss: 2,
    learningRate: 1e-3,
    gradientNorm: 0.5,
    stepMs: 200,
    sum: { perDevice: [device(120), device(150), device(90)], reduceMs: 20 },
    ...changes,
  }) as unknown as StepReport;
const plan = { step: 4, tokens: 80, labelledTokens: 30, cells: [] } as unknown as Parameters<typeof stepMetrics>[0];

test("a step computes as long as its busiest device, adds, and waits for the rest", () => {
  expect(stepMetrics(plan, report({}), [0.25], 10)).toEqual({
    step: 5,
    epoch: 0.5,
    loss: 2,
    learningRate: 1e-3,
    gradientNorm: 0.5,
    gates: [0.25],
    labelledTokens: 30,
    tokens: 80,
    labelledTokensPerSecond: 150,
    tokensPerSecond: 400,
    computeMs: 150,
    reduceMs: 20,
    waitMs: 30,
    stepMs: 200,
  });
});

test("clocks that disagree give no negative wait, and hosts' tokens are passed on", () => {
  const sum = { perDevice: [device(195)], reduceMs: 20, hostTokens: [50, 30] };
  expect(stepMetrics(plan, report({ sum }), [], 10)).toMatchObject({ waitMs: 0, hostTokens: [50, 30] });
});
