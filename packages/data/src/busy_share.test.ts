import { expect, test } from "vitest";
import { busyShare, planCosts, stepWork } from "./busy_share.ts";
import { createPlan } from "./plan.ts";

test("each cell goes to the device that is free first, and the last one to finish ends the step", () => {
  expect(stepWork([4, 3, 3], 1)).toBe(10);
  expect(stepWork([4, 3, 3], 2)).toBe(6);
  expect(stepWork([4, 3, 3], 3)).toBe(4);
  expect(stepWork([4, 3, 3], 8)).toBe(4);
  expect(stepWork([1, 1, 5], 2)).toBe(6); // in their order, though another would be shorter
  expect(stepWork([], 4)).toBe(0);
});

test("the busy share is the work of all steps over the time of all devices", () => {
  expect(busyShare([[4, 3, 3]], 1)).toBe(1);
  expect(busyShare([[5, 5]], 2)).toBe(1);
  expect(busyShare([[5, 5]], 8)).toBe(0.25);
  expect(busyShare([[5, 5], [6]], 2)).toBe(16 / (2 * 11));
});

test("the steps of a plan stand for it: all of a short epoch, two hundred of a long one, from its begin to its end", () => {
  const cost = { token: 10, pair: 1, label: 100 };
  const planOf = (count: number) => {
    const sizes = {
      lengths: Int32Array.from({ length: count }, (_, i) => 1 + (i % 7)),
      labelled: new Int32Array(count).fill(1),
    };
    const samples = Array.from({ length: count }, (_, i) => i);
    return { sizes, plan: createPlan({ ...sizes, samples, seed: 3, batchSize: 2, cellTokens: 1 }) };
  };
  const short = planOf(10);
  const costs = planCosts(short.plan, short.sizes, cost);
  expect(costs).toEqual(
    Array.from({ length: 5 }, (_, step) =>
      short.plan.step(step).cells.map(([sample]) => {
        const length = short.sizes.lengths[sample as number] as number;
        return 10 * length + length * length + 100;
      }),
    ),
  );
  const long = planOf(2001);
  const asked: number[] = [];
  const watched = { ...long.plan, step: (step: number) => (asked.push(step), long.plan.step(step)) };
  expect(planCosts(watched, long.sizes, cost)).toHaveLength(200);
  expect([asked[0], asked[1], asked.at(-1)]).toEqual([0, 5, 995]);
});
