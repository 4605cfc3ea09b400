/**
 * Mixtures: how many samples of each part an epoch holds, and which they are.
 *
 * The samples of a part are an endless sequence: all of them in a drawn order, then all in another, and so on. Each epoch goes on
 * in the sequence of every part where the epoch before it stopped. So a part that gives fewer samples than it has gives others in
 * the next epoch, one that gives more is repeated, and none of its samples is seen twice more often than another.
 */
import { InputError } from "@zerogate/core";
import { permutation } from "./permutation.ts";

/** What a mixture says of one of its parts. */
export interface PartRule {
  /** Names it in messages. */
  readonly name: string;
  /** Its share is this over the sum of all weights. @default what it has: all weights are given, or none */
  readonly weight?: number | undefined;
  /** Samples of it that an epoch holds at most. @default no limit */
  readonly cap?: number | undefined;
}

/** Parts of a mixture, and which of them each sample is of. */
export interface Mixture {
  readonly parts: readonly PartRule[];
  /** The part of a sample, from 0. */
  readonly partOf: (sample: number) => number;
}

/** A part of a mixture that is planned. */
export interface MixedPart {
  readonly name: string;
  /** All that it has to train on. */
  readonly samples: Int32Array;
  /** How many of them an epoch holds; more than there are: some are repeated. */
  readonly perEpoch: number;
}

const attempt = "Cannot mix the data";

/**
 * Shares out an epoch, which has as many samples as all parts together: to each part by its weight, rounded by largest remainders,
 * then no more than its cap.
 *
 * @param samples those to train on.
 * @throws InputError for weights and caps that make no sense, and for a part of which an epoch would hold nothing.
 */
export function mixParts({ parts, partOf }: Mixture, samples: Int32Array): MixedPart[] {
  checkRules(parts);
  const own = parts.map((_, part) => samples.filter((sample) => partOf(sample) === part));
  const weights = parts.map(({ weight }, part) => weight ?? own[part]?.length ?? 0);
  const shares = largestRemainders(samples.length, weights);
  const mixed = parts.map(({ name, cap = Number.POSITIVE_INFINITY }, part): MixedPart => {
    return { name, samples: own[part] ?? new Int32Array(0), perEpoch: Math.min(shares[part] ?? 0, cap) };
  });
  const problems = mixed.flatMap(({ name, samples: { length }, perEpoch }) => {
    if (length === 0) return [`${name} has no sample to train on: leave it out`];
    const share = `of ${name} an epoch of ${samples.length} samples would hold none`;
    return perEpoch > 0 ? [] : [`${share}: raise its weight, or leave it out`];
  });
  if (problems.length > 0) throw new InputError(attempt, problems);
  return mixed;
}

function checkRules(parts: readonly PartRule[]): void {
  const problems = parts.flatMap(({ name, weight, cap }) => [
    ...(weight === undefined || (weight > 0 && Number.isFinite(weight))
      ? []
      : [`the weight of ${name} is ${weight}, a number above 0 is needed`]),
    ...(cap === undefined || (Number.isSafeInteger(cap) && cap >= 1)
      ? []
      : [`the cap of ${name} is ${cap}, a whole number from 1 on is needed`]),
  ]);
  const without = parts.filter(({ weight }) => weight === undefined);
  if (without.length > 0 && without.length < parts.length) {
    problems.push(`${without.map(({ name }) => name).join(", ")} has no weight and others have: give all of them one`);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
}

/** Shares `total` out by weights (Hamilton): what rounding down leaves goes to the largest remainders, of equal ones to the first. */
function largestRemainders(total: number, weights: readonly number[]): number[] {
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const scaled = weights.map((weight) => weight / largest); // weights near the largest number have no sum
  const all = scaled.reduce((sum, weight) => sum + weight, 0);
  const exact = scaled.map((weight) => (total * weight) / all);
  const shares = exact.map(Math.floor);
  const order = exact.map((share, i) => ({ i, rest: share - Math.floor(share) })).toSorted((a, b) => b.rest - a.rest);
  let left = total - shares.reduce((sum, share) => sum + share, 0);
  for (const { i } of order) if (left-- > 0) shares[i] = (shares[i] ?? 0) + 1;
  return shares;
}

/** The streams of the seed from here down belong to passes over parts: epochs count up from 0, the split has −1. */
const FIRST_STREAM = -2;

/** The samples of an epoch, in its order. A function of the parts, the seed and the epoch's number alone. */
export function mixedEpoch(parts: readonly MixedPart[], seed: number, epoch: number): Int32Array {
  const size = parts.reduce((sum, { perEpoch }) => sum + perEpoch, 0);
  const drawn = new Int32Array(size);
  let at = 0;
  for (const [number, { samples, perEpoch }] of parts.entries()) {
    let place = epoch * perEpoch;
    const end = place + perEpoch;
    while (place < end) {
      const pass = Math.floor(place / samples.length);
      const order = permutation(samples.length, seed, FIRST_STREAM - (pass * parts.length + number));
      const from = place - pass * samples.length;
      const count = Math.min(samples.length - from, end - place);
      for (let i = from; i < from + count; i++) drawn[at++] = samples[order[i]!]!;
      place += count;
    }
  }
  return permutation(size, seed, epoch).map((slot) => drawn[slot]!);
}
