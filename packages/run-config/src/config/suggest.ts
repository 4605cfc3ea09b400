/** “Did you mean …?” for a misspelt name. */
import { squash, synonymOf, synonyms } from "./synonyms.ts";

/** The known name nearest to `given`, or undefined if none is near enough to be meant. */
export function suggest(given: string, known: readonly string[]): string | undefined {
  const plain = squash(given);
  const limit = Math.max(1, Math.floor(plain.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const [name, meant] of candidates(known)) {
    const distance = editDistance(plain, squash(name));
    if (distance < bestDistance) [best, bestDistance] = [meant, distance];
  }
  return best;
}

/** Known names, and what the same is called elsewhere, each with the known name that is meant. */
function candidates(known: readonly string[]): [name: string, meant: string][] {
  const others = synonyms.flatMap((name): [string, string][] => {
    const found = synonymOf(name, known, String);
    return found && "key" in found ? [[name, found.key]] : [];
  });
  return [...known.map((name): [string, string] => [name, name]), ...others];
}

/** Fewest insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
