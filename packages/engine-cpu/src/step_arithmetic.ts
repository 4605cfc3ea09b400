/** What a leader computes between two steps, natively and on several threads: the bits of core's `optim/arithmetic.ts`. */
import { availableParallelism } from "node:os";
import type { StepArithmetic } from "@zerogate/core/training";
import { chooseLevel, loadAddon } from "./addon.ts";

/** Memory is the limit, and a few cores read all that it gives. */
const MAX_THREADS = 8;
/** Sums of one call; the binary takes a few more. */
const MOST_AT_ONCE = 16;

/**
 * Opens it with threads of its own, which sleep between calls. Throws an Error if there is no binary for this machine, an
 * `InputError` if ZEROGATE_CPU_LEVEL names a level that it lacks.
 */
export function createStepArithmetic(threads: number = Math.min(MAX_THREADS, availableParallelism())): StepArithmetic {
  const { addon } = loadAddon();
  const engine = addon.open(chooseLevel(addon), threads, false);
  const addSums: StepArithmetic["addSums"] = (out, sums) => {
    // It is read before anything is written to it.
    const ordered = sums.includes(out) ? [out, ...sums.filter((sum) => sum !== out)] : sums;
    addon.addSums(engine, out, ...ordered.slice(0, MOST_AT_ONCE));
    const rest = ordered.slice(MOST_AT_ONCE);
    if (rest.length > 0) addSums(out, [out, ...rest]);
  };
  return {
    addSums,
    readSums(out, sums) {
      const [first, ...others] = sums;
      const late = others.slice(MOST_AT_ONCE - 1);
      if (first && late.length > 0) addSums(first, [first, ...late]);
      addon.readSums(engine, out, ...sums.slice(0, MOST_AT_ONCE));
    },
    globalNorm: (gradient) => Math.sqrt(addon.sumSquares(engine, gradient)),
    scale: (gradient, factor) => addon.scale(engine, gradient, factor),
    updateRange({ params, m, v, gradient }, { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps }) {
      addon.adamW(engine, params, m, v, gradient, from, to, keep, stepSize, rootCorrection, beta1, beta2, eps);
    },
  };
}
