/** How much of the time devices work: a step is done when the last of them has finished its cells. */

import type { SampleCost } from "@zerogate/core/training";
import { cellCost, type SampleSizes } from "./cells.ts";
import type { Plan } from "./plan.ts";

/** Steps that stand for an epoch. */
const SAMPLED_STEPS = 200;

/** Returns the work of each cell of up to 200 steps, spread evenly over the first epoch. */
export function planCosts(
  plan: Pick<Plan, "step" | "stepsPerEpoch">,
  sizes: SampleSizes,
  cost: SampleCost,
): number[][] {
  const count = Math.min(plan.stepsPerEpoch, SAMPLED_STEPS);
  return Array.from({ length: count }, (_, i) => {
    const { cells } = plan.step(Math.floor((i * plan.stepsPerEpoch) / count));
    return cells.map((cell) => cellCost(cost, sizes, cell));
  });
}

/**
 * Returns the work of a step's slowest device: cells go, in their order, to the device that is free first.
 *
 * @example stepWork([4, 3, 3], 2) // 6: the first device has 4, the other 3 and 3
 */
export function stepWork(cells: readonly number[], devices: number): number {
  const busyUntil = new Float64Array(devices);
  for (const work of cells) {
    let first = 0;
    for (let device = 1; device < devices; device++) if (busyUntil[device]! < busyUntil[first]!) first = device;
    busyUntil[first] = busyUntil[first]! + work;
  }
  return busyUntil.reduce((most, until) => Math.max(most, until), 0);
}

/** Returns the share of the time, from 0 to 1, that `devices` equal devices work in these steps. */
export function busyShare(steps: readonly (readonly number[])[], devices: number): number {
  let [all, slowest] = [0, 0];
  for (const cells of steps) {
    all += cells.reduce((sum, work) => sum + work, 0);
    slowest += stepWork(cells, devices);
  }
  return all / (devices * slowest);
}
