/** A step of a job, as a pool takes it, and the sum of its cells' gradients with what must hold of it. */
import { StepRefusedError } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import { type BadCell, checkTail, type Slot } from "@zerogate/core/training";
import type { AdapterVersion } from "./device_api.ts";

/** One step of one job. Its `version` changes whenever the job's shared parameters did. */
export interface Step extends AdapterVersion {
  readonly step: number;
  /** Samples of `tokens.train`, one list a cell; cells are dealt in this order, so put the largest first. */
  readonly cells: readonly (readonly number[])[];
  /** 1 / labelled tokens of the whole step. */
  readonly scale: number;
}

/** Some cells of a step, by their numbers, in the order in which they are dealt. */
export interface StepShare {
  readonly step: Step;
  readonly numbers: readonly number[];
}

/** The sum of a step over all workers. */
export interface StepSum {
  /** Together they are the sum over all cells, tail checked. Valid until the next step of the same job. */
  readonly slots: readonly Slot[];
  /** By device: how many cells of this step it did, and for how long it computed them. */
  readonly perDevice: readonly { readonly cells: number; readonly computeMs: number }[];
  /** Of several hosts: the tokens that each one computed, by rank. */
  readonly hostTokens?: readonly number[];
  /** Time from the first cell of the call to the last in which a worker did not compute, averaged over workers. */
  readonly waitMs: number;
  /** Adding up the tails and checking them; with several hosts, adding up all that they computed. */
  readonly reduceMs: number;
  /** When a device of this host began with the first cell, and when the last result arrived, in milliseconds of one clock. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/** The sum over a share of a step, for a `StepSum` of several pools: nothing of it is checked. Of no cell there is no slot. */
export interface ShareSum extends StepSum {
  readonly badCells: readonly BadCell[];
}

/**
 * @param tail of all slots, see `tailOf`
 * @throws StepRefusedError if numbers are bad, Error if a cell of the step is missing or was added twice.
 */
export function checkStepSum({ step, cells }: Step, tail: Slot, badCells: readonly BadCell[], labelled: number): void {
  if (badCells.length > 0) throw new StepRefusedError(step, badCells);
  const problems = checkTail(tail, cells.length, labelled);
  if (problems.length > 0) {
    throw new Error(`Cannot take step ${step}: its sum does not add up\n${problems.join("\n")}`);
  }
}

/** Counted on this side, so that the check of the sum finds a worker that packed wrongly. */
export function labelledTokensOf({ cells }: Pick<Step, "cells">, tokens: SampleTokens): number {
  return cells.flat().reduce((sum, sample) => sum + labelledTokens(tokens, sample), 0);
}

/** Returns the only step's sum, or throws what refused it. */
export function onlySum([settled]: readonly PromiseSettledResult<StepSum>[]): StepSum {
  if (settled?.status === "fulfilled") return settled.value;
  throw settled?.reason ?? new RangeError("Cannot use the sum of a step: none was taken");
}

function labelledTokens(tokens: SampleTokens, sample: number): number {
  const { offsets } = tokens;
  const [begin, end] = [offsets[sample], offsets[sample + 1]];
  if (begin === undefined || end === undefined) {
    throw new RangeError(`Cannot use sample ${sample}: the set has ${offsets.length - 1} samples`);
  }
  if (!("ids" in tokens)) return tokens.labelled[sample] ?? 0;
  const { target } = tokens;
  let labelled = 0;
  for (let t = begin + 1; t < end; t++) if (target[t] === 1) labelled++;
  return labelled;
}
