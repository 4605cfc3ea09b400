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
  /** Names of each sample's images: samples with an image in common stay on one side. @default none */
  readonly imagesOf?: (sample: number) => readonly string[];
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
 * Equal samples (the same record twice, or records that are equal once cut to length) and samples with an image in common
 * stay on one side, so that nothing validated was trained on. Groups of equal samples are taken in a seeded order for as long as they fit the count that
 * was asked for; with many duplicates the validation set may therefore be smaller, but it is never empty.
 *
 * @throws InputError if `validation` is not a number from 0 on, or would leave nothing to train on.
 */
export function splitSamples(tokens: TokenSet, { seed, validation, imagesOf }: SplitOptions): Split {
  const samples = tokens.offsets.length - 1;
  const attempt = "Cannot split off validation samples";
  if (!(validation >= 0 && (validation < 1 || Number.isSafeInteger(validation)))) {
    throw new InputError(attempt, `validation is ${validation}, a fraction below 1 or a whole count is needed`);
  }
  const count = validation >= 1 ? validation : validation > 0 ? Math.max(1, Math.round(validation * samples)) : 0;
  const groups = groupSamples(tokens, imagesOf);
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

/** Samples with the same tokens and targets or with an image in common, in the order of their first one. */
function groupSamples(tokens: TokenSet, imagesOf: (sample: number) => readonly string[] = () => []): number[][] {
  const samples = tokens.offsets.length - 1;
  const groupOf = Int32Array.from({ length: samples }, (_, sample) => sample);
  /** The first sample of a group stands for it. */
  const firstOf = (sample: number): number => {
    let first = sample;
    while (groupOf[first] !== first) first = groupOf[first] = groupOf[groupOf[first]!]!;
    return first;
  };
  const seen = new Map<string, number>();
  for (let sample = 0; sample < samples; sample++) {
    for (const key of [tokenKey(tokens, sample), ...imagesOf(sample).map((name) => `image ${name}`)]) {
      const [a, b] = [firstOf(sample), firstOf(seen.get(key) ?? sample)];
      groupOf[Math.max(a, b)] = Math.min(a, b);
      seen.set(key, sample);
    }
  }
  const groups = new Map<number, number[]>();
  for (let sample = 0; sample < samples; sample++) {
    const group = groups.get(firstOf(sample));
    if (group) group.push(sample);
    else groups.set(sample, [sample]);
  }
  return [...groups.values()];
}

function tokenKey({ ids, target, offsets }: TokenSet, sample: number): string {
  const [begin, end] = [offsets[sample], offsets[sample + 1]];
  return createHash("sha256")
    .update(bytesOf(ids.subarray(begin, end)))
    .update(target.subarray(begin, end))
    .digest("base64");
}
