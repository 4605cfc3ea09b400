/** What the leader computes with, whatever engine the workers have. */
import { plainArithmetic, type StepArithmetic } from "@zerogate/core/training";
import { createStepArithmetic, probe } from "@zerogate/engine-cpu";

/** Returns native loops, or core's if there is no binary for this machine: slower, with the same bits. */
export function stepArithmetic(): StepArithmetic {
  return probe().available ? createStepArithmetic() : plainArithmetic;
}
