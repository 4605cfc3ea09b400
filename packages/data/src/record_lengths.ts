/** How long records are before they are cut: what says which maxLength would keep how many of them. */

export interface RecordLengths {
  /** Tokens of the longest record. */
  readonly longest: number;
  /** For some shares of the records, ascending up to 1, the smallest maxLength that keeps that share. */
  readonly keeping: readonly {
    readonly share: number;
    /** At least one token of the answer is left. */
    readonly some: number;
    /** Nothing is cut. */
    readonly whole: number;
  }[];
}

const SHARES = [0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1];

/** @param records Of each, all its tokens, and those that have to stay for the first target to be among them. */
export function recordLengths(
  records: readonly { readonly wholeLengths: Int32Array; readonly neededLengths: Int32Array }[],
): RecordLengths {
  const ascending = (name: "wholeLengths" | "neededLengths") => joined(records.map((chunk) => chunk[name])).toSorted();
  const [wholes, needed] = [ascending("wholeLengths"), ascending("neededLengths")];
  const at = (lengths: Int32Array, share: number) => lengths[Math.max(0, Math.ceil(share * lengths.length) - 1)] ?? 0;
  const keeping = SHARES.map((share) => ({ share, some: at(needed, share), whole: at(wholes, share) }));
  return { longest: wholes.at(-1) ?? 0, keeping };
}

function joined(parts: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The smallest maxLength up to `limit` that keeps at least `share` of the records, whole if it can, and which share that is. */
export function lengthKeeping(
  { keeping }: RecordLengths,
  share: number,
  limit: number,
): { readonly maxLength: number; readonly share: number } | undefined {
  const enough = keeping.filter((entry) => entry.share >= share - Number.EPSILON && entry.some <= limit);
  const whole = enough.find((entry) => entry.whole <= limit);
  const entry = whole ?? enough[0];
  return entry && { maxLength: whole?.whole ?? entry.some, share: entry.share };
}
