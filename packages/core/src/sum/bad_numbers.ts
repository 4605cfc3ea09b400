/** Numbers of a cell that cannot be added, in words. */
import type { BadNumbers } from "./slot.ts";

/** A cell with numbers that are not finite or too large. */
export interface BadCell extends BadNumbers {
  readonly cell: number;
  readonly samples: readonly number[];
}

/** `the loss is NaN, the gradient of gate 0 of layer 5 is NaN, 12 more numbers`. */
export function describeBadNumbers(
  { count, loss, gradient }: BadNumbers,
  nameOf: (parameter: number) => string,
): string {
  const said: string[] = [];
  if (loss !== undefined) said.push(`the loss is ${loss}`);
  if (gradient) said.push(`the gradient of ${nameOf(gradient.parameter)} is ${gradient.value}`);
  const more = count - said.length;
  return [...said, ...(more > 0 ? [`${more} more numbers`] : [])].join(", ");
}
