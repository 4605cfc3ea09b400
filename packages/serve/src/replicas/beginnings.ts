/** What a worker is likely to hold keys and values of: the prompts that it was given last, by the numbers of their adapter. */

/** Prompts that a worker was given. */
export interface Beginnings {
  add(key: string, ids: readonly number[]): void;
  /** The most tokens that a prompt has in common with one of them; 0 if they are too few to be taken over. */
  common(key: string, ids: readonly number[]): number;
  clear(): void;
}

/** Fewer tokens are not taken over by the scheduler. */
const LEAST_COMMON = 16;

/** Names the numbers that keys and values of a prompt depend on. */
export function keyOf(sha256: string | undefined, scale: number): string {
  return sha256 === undefined || scale === 0 ? "base" : `${sha256} ${scale}`;
}

/** Remembers the last `most` prompts. */
export function openBeginnings(most: number): Beginnings {
  let last: { readonly key: string; readonly ids: readonly number[] }[] = [];
  return {
    add(key, ids) {
      last.push({ key, ids });
      if (last.length > most) last.shift();
    },
    common(key, ids) {
      let longest = 0;
      for (const other of last) if (other.key === key) longest = Math.max(longest, commonLength(other.ids, ids));
      return longest < LEAST_COMMON ? 0 : longest;
    },
    clear() {
      last = [];
    },
  };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) length++;
  return length;
}
