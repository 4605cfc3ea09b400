/**
 * Tokens by descending logit, without sorting them: buckets of like logits, of which only those are sorted that something ends in. The
 * weight of a token is its probability over that of the most likely one, exp((z − z_max) / temperature).
 */

/** A beginning of the tokens by descending logit, lower ids first among equals. */
export interface RankedTokens {
  /** Keeps the first k, and all that are as likely as the last of these. */
  keepTop(k: number): void;
  /** Keeps the first ones whose weights together reach this share of all that are kept; at least one. */
  keepMass(share: number): void;
  /** Keeps those of at least this weight. */
  keepWeight(least: number): void;
  /** Returns the token at this share, from 0 to below 1, of the weights that are kept. */
  at(share: number): number;
}

const MOST_BUCKETS = 1024;
/** Logits further below the largest than this many temperatures share the last bucket: together they weigh nothing. */
const WIDTH = 48;

/** Ranks tokens by logits that are numbers or −∞; `largest` is the largest of them. */
export function rankTokens(z_V: Float32Array, largest: number, temperature: number): RankedTokens {
  const weight = (id: number) => expBelow((z_V[id] - largest) / temperature);
  const { bucketOf, bucketOf_V, counts, sums } = fillBuckets(z_V, largest, temperature);
  // What is kept: whole buckets, then the first tokens of the next one.
  let whole = counts.length;
  let rest: readonly number[] = [];

  function members(bucket: number): number[] {
    const ids: number[] = [];
    if (counts[bucket] === 0) return ids;
    for (let id = 0; id < bucketOf_V.length; id++) if (bucketOf_V[id] === bucket) ids.push(id);
    return ids.toSorted((a, b) => z_V[b] - z_V[a] || a - b);
  }
  const tokensOf = (bucket: number) => (bucket < whole ? members(bucket) : rest);
  function sumOf(bucket: number): number {
    return bucket < whole ? sums[bucket] : rest.reduce((sum, id) => sum + weight(id), 0);
  }
  function mass(): number {
    let sum = 0;
    for (let bucket = 0; bucket <= whole; bucket++) sum += sumOf(bucket);
    return sum;
  }
  /** The first bucket with which the weights reach `target`, or the last one that has any; and the weights before it. */
  function reach(target: number): { bucket: number; before: number } {
    let found = { bucket: 0, before: 0 };
    let sum = 0;
    for (let bucket = 0; bucket <= whole && (sum === 0 || sum < target); bucket++) {
      const own = sumOf(bucket);
      if (own > 0) found = { bucket, before: sum };
      sum += own;
    }
    return found;
  }
  function keep(bucket: number, ids: readonly number[]): void {
    [whole, rest] = [bucket, ids];
  }

  return {
    keepTop(k) {
      let [bucket, before] = [0, 0];
      while (bucket < whole && before + counts[bucket] < k) before += counts[bucket++];
      const ids = tokensOf(bucket);
      const last = ids[k - before - 1];
      if (last === undefined) return; // there are fewer
      const isKept = (id: number) => z_V[id] >= z_V[last];
      keep(bucket, ids.filter(isKept));
    },
    keepMass(share) {
      const target = share * mass();
      const { bucket, before } = reach(target);
      const ids = tokensOf(bucket);
      let [count, sum] = [0, before];
      while (count < ids.length && sum < target) sum += weight(ids[count++]);
      keep(bucket, ids.slice(0, Math.max(count, 1)));
    },
    keepWeight(least) {
      // One bucket earlier than where the last such token lies: rounding may move it.
      let bucket = Math.min(whole, Math.max(0, bucketOf(largest + temperature * Math.log(least)) - 1));
      for (; bucket <= whole; bucket++) {
        const ids = tokensOf(bucket);
        const kept = ids.filter((id) => weight(id) >= least);
        if (kept.length < ids.length) return keep(bucket, kept);
      }
    },
    at(share) {
      const target = share * mass();
      const { bucket, before } = reach(target);
      const ids = tokensOf(bucket);
      let [place, sum] = [0, before];
      while (place < ids.length - 1 && (sum += weight(ids[place])) <= target) place++;
      return ids[place];
    },
  };
}

/** Buckets of equal width from the largest logit down: which one each token is in, and how many and which weights each has. */
function fillBuckets(z_V: Float32Array, largest: number, temperature: number) {
  let smallest = largest;
  // By index: an iterator takes ten times as long, and a vocabulary is large.
  for (let id = 0; id < z_V.length; id++) {
    if (z_V[id] < smallest && z_V[id] > Number.NEGATIVE_INFINITY) smallest = z_V[id];
  }
  const count = Math.min(MOST_BUCKETS, z_V.length);
  const perLogit = count / Math.min(largest - smallest, WIDTH * temperature);
  const bucketOf = (z: number) => {
    const place = (largest - z) * perLogit;
    return place < count ? Math.floor(place) : count - 1; // not a number, if all are equal
  };
  const bucketOf_V = new Uint16Array(z_V.length);
  const [counts, sums] = [new Uint32Array(count), new Float64Array(count)];
  for (let id = 0; id < z_V.length; id++) {
    const bucket = bucketOf(z_V[id]);
    bucketOf_V[id] = bucket;
    counts[bucket]++;
    sums[bucket] += expBelow((z_V[id] - largest) / temperature);
  }
  return { bucketOf, bucketOf_V, counts, sums };
}

const STEPS = 256;
const steps = Float64Array.from({ length: STEPS }, (_, i) => 2 ** (i / STEPS));
const powers = Float64Array.from({ length: 1024 }, (_, i) => 2 ** -i);

/** e to the x of at most 0, to some 1e-14 of it: a third of the time of Math.exp, once for each token of a vocabulary. */
function expBelow(x: number): number {
  if (!(x > -700)) return 0;
  const place = x * (STEPS / Math.LN2);
  const step = Math.floor(place);
  const r = (place - step) * (Math.LN2 / STEPS);
  return powers[-(step >> 8)] * steps[step & (STEPS - 1)] * (1 + r * (1 + (r / 2) * (1 + (r / 3) * (1 + r / 4))));
}
