/** The error of a step whose numbers cannot be used. */
import type { BadNumbers } from "@zerogate/core";

/** A cell with numbers that are not finite or too large. */
export interface BadCell extends BadNumbers {
  readonly cell: number;
  readonly samples: readonly number[];
}

/** A step was computed whole, but its gradient or loss has numbers that cannot be added. Parameters are untouched. */
export class StepRefusedError extends Error {
  override readonly name = "StepRefusedError";
  readonly step: number;
  readonly badCells: readonly BadCell[];

  constructor(step: number, badCells: readonly BadCell[]) {
    const lines = badCells.map((bad) => {
      const what = describeBadNumbers(bad, (parameter) => `parameter ${parameter}`);
      return `  - cell ${bad.cell} (samples ${bad.samples.join(", ")}): ${what}`;
    });
    const advice = "lower the learning rate or inspect these samples";
    super(`Cannot take step ${step}: numbers are not finite or too large, ${advice}\n${lines.join("\n")}`);
    this.step = step;
    this.badCells = badCells;
  }
}

/** `the loss is NaN, the gradient of gate 0 of layer 5 is NaN, 12 more numbers`. */
export function describeBadNumbers(
  { count, loss, gradient }: BadNumbers,
  nameOf: (parameter: number) => string,
): string {
  const told: string[] = [];
  if (loss !== undefined) told.push(`the loss is ${loss}`);
  if (gradient) told.push(`the gradient of ${nameOf(gradient.parameter)} is ${gradient.value}`);
  const more = count - told.length;
  return [...told, ...(more > 0 ? [`${more} more numbers`] : [])].join(", ");
}
