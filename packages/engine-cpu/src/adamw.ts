/** AdamW natively: the bits of core's `optim/adamw.ts` in one pass over the memory. */
import type { AdamWArrays, AdamWUpdate } from "@zerogate/core/engine";
import { chooseLevel, loadAddon } from "./addon.ts";

/**
 * What `adamWStep` takes as its `update`. Throws an Error if there is no binary for this machine, an `InputError` where
 * ZEROGATE_CPU_LEVEL names a level that it lacks.
 */
export function createAdamWUpdate(): (arrays: AdamWArrays, range: AdamWUpdate) => void {
  const { addon } = loadAddon();
  const engine = addon.open(chooseLevel(addon), 1, false);
  return ({ params, m, v, gradient }, { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps }) => {
    addon.adamW(engine, params, m, v, gradient, from, to, keep, stepSize, rootCorrection, beta1, beta2, eps);
  };
}
