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
    const lines = badCells.map(({ cell, samples, count, parameter, value }) => {
      const first = parameter === undefined ? `the loss is ${value}` : `gradient of parameter ${parameter} is ${value}`;
      return `  - cell ${cell} (samples ${samples.join(", ")}): ${first}${count > 1 ? `, ${count - 1} more` : ""}`;
    });
    const advice = "lower the learning rate or inspect these samples";
    super(`Cannot take step ${step}: numbers are not finite or too large, ${advice}\n${lines.join("\n")}`);
    this.step = step;
    this.badCells = badCells;
  }
}
