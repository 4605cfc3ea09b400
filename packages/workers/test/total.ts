/** The slots of a step's sum as one. */
import { addSlot, createSlot, type Slot } from "@zerogate/core/training";
import type { StepSum } from "../src/step_sum.ts";

export function totalOf({ slots }: Pick<StepSum, "slots">): Slot {
  const [first] = slots;
  if (!first) throw new RangeError("Cannot add up slots: there are none");
  const total = createSlot({ parameters: first.parameters, maxCells: first.maxCells });
  for (const slot of slots) addSlot(total, slot);
  return total;
}
