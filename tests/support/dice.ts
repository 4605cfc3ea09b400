/** Random choices from a seed, for configurations that nobody thought of. */
import { uniform } from "@zerogate/core/training";

/** Random choices, each depending on the case's seed and on how many were made before it. */
export interface Dice {
  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number;
  pick<T>(of: readonly T[]): T;
  chance(probability: number): boolean;
}

export function dice(seed: number): Dice {
  let count = 0;
  const whole = (least: number, most: number) => least + Math.floor(uniform(seed, count++) * (most - least + 1));
  return {
    whole,
    pick: (of) => of[whole(0, of.length - 1)] as (typeof of)[number],
    chance: (probability) => uniform(seed, count++) < probability,
  };
}
