/** Tokens with which samples begin alike, for the work of cells that compute them once. */
import type { TokenSet } from "@zerogate/core";
import { readSamples, type SampleTokens } from "@zerogate/core/node";

/** What samples of a set share. */
export interface Beginnings {
  /** Of the tokens that it was found in. */
  readonly hash: string;
  /** Leading tokens that two samples have in common. */
  shared(a: number, b: number): number;
  /** Brings samples that are about to be compared into memory. Returns what they share. */
  read(samples: readonly number[]): Pick<Beginnings, "shared">;
}

/** Finds the beginnings of a set when they are asked for. */
export function beginningsOf(tokens: SampleTokens): Beginnings {
  const { hash } = tokens;
  if ("ids" in tokens) {
    const own = sharedIn(tokens);
    return { hash, shared: own, read: () => ({ shared: own }) };
  }
  return {
    hash,
    shared: (a, b) => sharedIn(readSamples(tokens, [a, b]))(0, 1),
    read(samples) {
      const own = sharedIn(readSamples(tokens, samples));
      const place = new Map(samples.map((sample, i) => [sample, i]));
      return { shared: (a, b) => own(place.get(a)!, place.get(b)!) };
    },
  };
}

function sharedIn({ ids, offsets }: TokenSet): Beginnings["shared"] {
  return (a, b) => {
    const [from, other] = [offsets[a]!, offsets[b]!];
    const most = Math.min(offsets[a + 1]! - from, offsets[b + 1]! - other);
    let count = 0;
    while (count < most && ids[from + count] === ids[other + count]) count++;
    return count;
  };
}

/** The same for the samples of one batch, each pair compared once. */
export function beginningsOfBatch(all: Beginnings, batch: readonly number[]): Pick<Beginnings, "shared"> {
  const { shared } = all.read(batch);
  const place = new Map(batch.map((sample, i) => [sample, i]));
  const known = new Int32Array(batch.length ** 2).fill(-1);
  return {
    shared(a, b) {
      const [i, j] = [place.get(a)!, place.get(b)!];
      const at = i < j ? i * batch.length + j : j * batch.length + i;
      if (known[at]! < 0) known[at] = shared(a, b);
      return known[at]!;
    },
  };
}
