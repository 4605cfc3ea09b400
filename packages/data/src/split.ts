/** Training and validation samples: disjoint, a pure function of the tokens and the seed, and without leaks between the two. */
import { createHash } from "node:crypto";
import { InputError, type TokenSet } from "@zerogate/core";
import { permutation } from "./permutation.ts";
import { bytesOf } from "./token_set.ts";

/** How many samples are held out. */
export interface SplitOptions {
  /** A safe integer. */
  readonly seed: number;
  /** Below 1 a fraction of all samples (rounded, at least one sample), from 1 on a count; 0 for none. */
  readonly validation: number;
}

/** Which samples train and which are held out. */
export interface Split {
  /** Sample indices, ascending. */
  readonly train: number[];
  /** Sample indices, ascending. */
  readonly validation: number[];
}

/** Keeps the split apart from the epochs of the data plan, which count up from 0. */
const SPLIT_STREAM = -1;

/**
 * Equal samples (the same record twice, or records that are equal once cut to length) stay on one side, so that nothing
 * validated was trained on. Groups of equal samples are taken in a seeded order for as long as they fit the count that
 * was asked for; with many duplicates the validation set may therefore be smaller, but it is never empty.
 *
 * @throws InputError if `validation` is not a number from 0 on, or would leave nothing to train on.
 */
export function splitSamples(tokens: TokenSet, { seed, validation }: SplitOptions): Split {
  const samples = tokens.offsets.length - 1;
  const attempt = "Cannot split off validation samples";
  if (!(validation >= 0 && (validation < 1 || Number.isSafeInteger(validation)))) {
    throw new InputError(attempt, `validation is ${validation}, a fraction below 1 or a whole count is needed`);
  }
  const count = validation >= 1 ? validation : validation > 0 ? Math.max(1, Math.round(validation * samples)) : 0;
  const groups = groupEqual(tokens);
  if (count > 0 && (count >= samples || groups.length < 2)) {
    const different = `${samples} samples, ${groups.length} of them different`;
    throw new InputError(attempt, `${count} of ${different}, at least 1 must be left to train on`);
  }
  const isValidation = new Uint8Array(samples);
  let left = count;
  const order = permutation(groups.length, seed, SPLIT_STREAM);
  for (const g of order) {
    const group = groups[g]!;
    if (group.length > left) continue;
    for (const sample of group) isValidation[sample] = 1;
    left -= group.length;
  }
  if (count > 0 && left === count) {
    const smallest = groups.reduce((a, b) => (b.length < a.length ? b : a)); // at least one, even if it is more than asked for
    for (const sample of smallest) isValidation[sample] = 1;
  }
  const all = Array.from({ length: samples }, (_, sample) => sample);
  return {
    train: all.filter((sample) => isValidation[sample] === 0),
    validation: all.filter((sample) => isValidation[sample] === 1),
  };
}

/** Samples with the same tokens and targets, in the order of their first one. */
function groupEqual({ ids, target, offsets }: TokenSet): number[][] {
  const groups = new Map<string, number[]>();
  for (let sample = 0; sample + 1 < offsets.length; sample++) {
    const [begin, end] = [offsets[sample], offsets[sample + 1]];
    const key = createHash("sha256")
      .update(bytesOf(ids.subarray(begin, end)))
      .update(target.subarray(begin, end))
      .digest("base64");
    const group = groups.get(key);
    if (group) group.push(sample);
    else groups.set(key, [sample]);
  }
  return [...groups.values()];
}
