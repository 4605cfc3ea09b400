/** Training and validation samples: disjoint, a pure function of the tokens and the seed, and without leaks between the two. */
import { InputError, type TokenSet } from "@zerogate/core";
import { type SampleTokens, sampleBlocks } from "@zerogate/core/node";
import { createFingerprints } from "./fingerprints.ts";
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
  readonly train: Int32Array;
  /** Sample indices, ascending. */
  readonly validation: Int32Array;
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
export function splitSamples(tokens: SampleTokens, { seed, validation, imagesOf }: SplitOptions): Split {
  const samples = tokens.offsets.length - 1;
  const attempt = "Cannot split off validation samples";
  if (!(validation >= 0 && (validation < 1 || Number.isSafeInteger(validation)))) {
    throw new InputError(attempt, `validation is ${validation}, a fraction below 1 or a whole count is needed`);
  }
  const count = validation >= 1 ? validation : validation > 0 ? Math.max(1, Math.round(validation * samples)) : 0;
  const { groupOf, firsts, sizes } = groupSamples(tokens, imagesOf);
  if (count > 0 && (count >= samples || firsts.length < 2)) {
    const different = `${samples} samples, ${firsts.length} of them different`;
    throw new InputError(attempt, `${count} of ${different}, at least 1 must be left to train on`);
  }
  const isHeldOut = new Uint8Array(firsts.length);
  let left = count;
  for (const group of permutation(firsts.length, seed, SPLIT_STREAM)) {
    if (sizes[group]! > left) continue;
    isHeldOut[group] = 1;
    left -= sizes[group]!;
  }
  if (count > 0 && left === count) {
    const smallest = sizes.indexOf(sizes.reduce((a, b) => Math.min(a, b))); // at least one, even if it is more than asked for
    isHeldOut[smallest] = 1;
  }
  const all = Int32Array.from({ length: samples }, (_, sample) => sample);
  return {
    train: all.filter((sample) => isHeldOut[groupOf[sample]!] === 0),
    validation: all.filter((sample) => isHeldOut[groupOf[sample]!] === 1),
  };
}

interface Groups {
  /** The group of each sample. */
  readonly groupOf: Int32Array;
  /** The first sample of each group. */
  readonly firsts: Int32Array;
  readonly sizes: Int32Array;
}

/** Samples with the same tokens and targets or with an image in common, in the order of their first one. */
function groupSamples(tokens: SampleTokens, imagesOf: (sample: number) => readonly string[] = () => []): Groups {
  const samples = tokens.offsets.length - 1;
  /** The first sample of a group stands for it. */
  const leader = Int32Array.from({ length: samples }, (_, sample) => sample);
  const leaderOf = (sample: number): number => {
    let first = sample;
    while (leader[first] !== first) first = leader[first] = leader[leader[first]!]!;
    return first;
  };
  const join = (one: number, other: number): void => {
    const [a, b] = [leaderOf(one), leaderOf(other)];
    leader[Math.max(a, b)] = Math.min(a, b);
  };
  const seen = createFingerprints(samples);
  const seenImages = new Map<string, number>();
  for (const { first, tokens: block } of sampleBlocks(tokens)) {
    for (let i = 0; i + 1 < block.offsets.length; i++) join(first + i, seen.add(contentOf(block, i)));
  }
  for (let sample = 0; sample < samples; sample++) {
    for (const name of imagesOf(sample)) {
      join(sample, seenImages.get(name) ?? sample);
      seenImages.set(name, sample);
    }
  }
  const firsts = Int32Array.from({ length: samples }, (_, sample) => sample).filter((one) => leaderOf(one) === one);
  const groupOf = new Int32Array(samples);
  for (const [group, first] of firsts.entries()) groupOf[first] = group;
  const sizes = new Int32Array(firsts.length);
  for (let sample = 0; sample < samples; sample++) {
    const group = groupOf[leaderOf(sample)]!;
    groupOf[sample] = group;
    sizes[group] = sizes[group]! + 1;
  }
  return { groupOf, firsts, sizes };
}

/** The bytes of a sample's ids and targets. */
function contentOf({ ids, target, offsets }: TokenSet, sample: number): Uint8Array {
  const [begin, end] = [offsets[sample]!, offsets[sample + 1]!];
  const content = new Uint8Array(5 * (end - begin));
  content.set(bytesOf(ids.subarray(begin, end)));
  content.set(target.subarray(begin, end), 4 * (end - begin));
  return content;
}
