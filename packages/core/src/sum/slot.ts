/**
 * One step's result as int64 numbers: gradient sums, then a tail by which a sum checks itself.
 *
 *   gradient[parameters] · lossSum · labelledTokens · bad · seen[maxCells]
 *
 * A worker adds its cells to its own slot; slots are added to each other as plain integers, on one host and over MPI.
 * Nothing depends on who added what, and a cell that was lost or added twice shows in `seen`.
 */
import { type ParameterRange, type ParameterTable, rangesOf } from "../adapter/parameters.ts";
import type { Allocate } from "../allocate.ts";
import { ADDEND_LIMIT, addFixedPoint, addSums, createFixedPointSum, type FixedPointSum } from "./fixed_point.ts";

/** Plain data: over shared memory it crosses to worker threads by structured clone, without a copy. */
export interface Slot {
  /** int64 as pairs of words; all slots of a run have the same length and can be added. */
  readonly sums: FixedPointSum;
  readonly parameters: number;
  /** Most cells that a step of this run has, over all hosts. */
  readonly maxCells: number;
}

/** What one cell adds to a step. */
export interface CellSum {
  /** Number of the cell within its step, from 0. */
  readonly cell: number;
  /** Already divided by the labelled tokens of the whole step. */
  readonly gradient: Float32Array;
  /** Nats, summed over the labelled tokens of the cell. */
  readonly lossSum: number;
  readonly labelledTokens: number;
}

/**
 * Numbers of one cell that cannot be added. Backward goes from the top layer down, and gradients lie in the order of their
 * layers: if the loss is sound, the last bad gradient is that of the layer in which they began.
 */
export interface BadNumbers {
  readonly count: number;
  /** The loss, if it is bad: then numbers were bad before backward began. */
  readonly loss: number | undefined;
  /** The last bad number of the gradient. */
  readonly gradient: { readonly parameter: number; readonly value: number } | undefined;
}

/** A range of the gradient, and the magnitude that each of its numbers must stay below. */
export interface LimitRange extends ParameterRange {
  readonly limit: number;
}

/** The limits of the parts of a table: ranges in order and without gaps. */
export function limitRanges(table: ParameterTable): LimitRange[] {
  return rangesOf(table, ({ gradientLimit }) => ({ limit: gradientLimit }));
}

/** Unit 2⁻³²; a cell's loss must stay below 2¹⁹ nats. */
const LOSS_UNITS = 2 ** 32;
const LOSS_LIMIT = 2 ** 19;
/** Rounds below 2⁵¹ to an integer, ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;
const WORD = 2 ** 32;

/**
 * Zeroed slot: 8 bytes a parameter and cell.
 * @param allocate makes its memory. @default memory of this thread alone
 */
export function createSlot(size: { parameters: number; maxCells: number }, allocate?: Allocate): Slot {
  return { ...size, sums: createFixedPointSum(size.parameters + 3 + size.maxCells, allocate) };
}

/** Empties a slot for the next step. */
export function clearSlot(slot: Slot): void {
  slot.sums.fill(0);
}

/**
 * Adds one cell. What cannot be added (not finite, not below `addendLimit`, or not below the limit of its range) adds 0,
 * is counted in the tail and returned. Throws a RangeError, and adds nothing, if a length or the cell number does not fit.
 * @param add takes the place of `addFixedPoint`: a native one with the same bits.
 * @param limits of all of the gradient, see `limitRanges`. Default: that of every cell.
 */
export function addCell(
  slot: Slot,
  { cell, gradient, lossSum, labelledTokens }: CellSum,
  add: typeof addFixedPoint = addFixedPoint,
  limits: readonly LimitRange[] = [{ from: 0, to: slot.parameters, limit: ADDEND_LIMIT }],
): BadNumbers | undefined {
  const { sums, parameters, maxCells } = slot;
  if (gradient.length !== parameters) {
    throw new RangeError(
      `Cannot add cell ${cell}: its gradient has ${gradient.length} numbers, the slot ${parameters}`,
    );
  }
  if (!(Number.isInteger(cell) && cell >= 0 && cell < maxCells)) {
    throw new RangeError(`Cannot add cell ${cell}: the slot has cells 0 to ${maxCells - 1}`);
  }
  const lossIsBad = !(Math.abs(lossSum) < LOSS_LIMIT);
  let bad = lossIsBad ? 1 : 0;
  let parameter = -1;
  for (const { from, to, limit: own } of limits) {
    const limit = Math.min(own, addendLimit(maxCells));
    const numbers = gradient.subarray(from, to);
    const found = add(sums.subarray(2 * from, 2 * to), numbers, limit);
    if (found > 0) parameter = from + numbers.findLastIndex((g) => !(Math.abs(g) < limit));
    bad += found;
  }
  if (!lossIsBad) addInteger(sums, parameters, lossSum * LOSS_UNITS + TO_INTEGER - TO_INTEGER);
  addInteger(sums, parameters + 1, labelledTokens);
  addInteger(sums, parameters + 2, bad);
  addInteger(sums, parameters + 3 + cell, 1);
  if (bad === 0) return undefined;
  return {
    count: bad,
    loss: lossIsBad ? lossSum : undefined,
    gradient: parameter === -1 ? undefined : { parameter, value: gradient[parameter] },
  };
}

/** Magnitude that every number of a cell's gradient must stay below: 512 for up to 64 cells a step, then less. */
export function addendLimit(maxCells: number): number {
  return ADDEND_LIMIT * 2 ** -Math.max(0, Math.ceil(Math.log2(maxCells / 64)));
}

/** Adds all of `from`, tail included. Throws a RangeError if sizes differ. */
export function addSlot(into: Slot, from: Slot): void {
  addSums(into.sums, from.sums);
}

/**
 * Returns the tail of several slots together, as a slot without a gradient: `slotTotals` and `checkTail` take it. Throws a
 * RangeError if there is none, or sizes differ.
 */
export function tailOf(slots: readonly Slot[]): Slot {
  const [first] = slots;
  if (!first) throw new RangeError("Cannot add up tails: there is no slot");
  const tail = createSlot({ parameters: 0, maxCells: first.maxCells });
  for (const { sums, parameters } of slots) addSums(tail.sums, sums.subarray(2 * parameters));
  return tail;
}

/** The gradient sums, as `readFixedPoint` and others take them. */
export function gradientSum(slot: Slot): FixedPointSum {
  return slot.sums.subarray(0, 2 * slot.parameters);
}

/** Nats and labelled tokens, summed over all cells that were added. */
export function slotTotals({ sums, parameters }: Slot): { lossSum: number; labelledTokens: number } {
  return {
    lossSum: readInteger(sums, parameters) / LOSS_UNITS,
    labelledTokens: readInteger(sums, parameters + 1),
  };
}

/** What is wrong with a step's sum, one entry a problem; empty when it holds cells 0 … `expectedCells − 1` once each. */
export function checkTail(slot: Slot, expectedCells: number, expectedLabelledTokens: number): string[] {
  const { sums, parameters, maxCells } = slot;
  const problems: string[] = [];
  for (let cell = 0; cell < maxCells; cell++) {
    const times = readInteger(sums, parameters + 3 + cell);
    const expected = cell < expectedCells ? 1 : 0;
    if (times !== expected) problems.push(`cell ${cell} was added ${times} times, expected ${expected}`);
  }
  const { labelledTokens } = slotTotals(slot);
  if (labelledTokens !== expectedLabelledTokens) {
    problems.push(`${labelledTokens} labelled tokens were added, expected ${expectedLabelledTokens}`);
  }
  const bad = readInteger(sums, parameters + 2);
  if (bad !== 0) problems.push(`${bad} numbers are not finite or too large (limit ${addendLimit(maxCells)})`);
  return problems;
}

/** Adds a safe integer to the int64 at `index`. */
function addInteger(sums: FixedPointSum, index: number, value: number): void {
  addSums(sums.subarray(2 * index, 2 * index + 2), Int32Array.of(value, Math.floor(value / WORD)));
}

/** The int64 at `index`, as the nearest float64. */
function readInteger(sums: FixedPointSum, index: number): number {
  return sums[2 * index + 1] * WORD + (sums[2 * index] >>> 0);
}
