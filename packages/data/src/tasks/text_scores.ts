/** How near a written answer is to the expected one: exact match, ROUGE-L and chrF, with the values of Python's libraries. */
import { strip, withoutSpaces } from "./python_text.ts";

/** Whether both are the same but for white space around them. */
export function isExactMatch(text: string, expected: string): boolean {
  return strip(text) === strip(expected);
}

/**
 * Returns ROUGE-L (Lin 2004) from 0 to 1, as rouge-score computes it without stemming: F of precision and recall of the longest common
 * subsequence of words. Words are runs of a to z and digits, so that a text in another script has none, and 0.
 */
export function rougeL(text: string, expected: string): number {
  const [found, wanted] = [rougeWords(text), rougeWords(expected)];
  const common = longestCommon(found, wanted);
  if (common === 0) return 0;
  const [precision, recall] = [common / found.length, common / wanted.length];
  return (2 * precision * recall) / (precision + recall);
}

const rougeWords = (text: string): readonly string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

/** Length of the longest common subsequence, in one row of the table. */
function longestCommon(first: readonly string[], second: readonly string[]): number {
  const lengths = new Int32Array(second.length + 1);
  for (const word of first) {
    let diagonal = 0;
    for (const [j, other] of second.entries()) {
      const above = lengths[j + 1]!;
      lengths[j + 1] = word === other ? diagonal + 1 : Math.max(above, lengths[j]!);
      diagonal = above;
    }
  }
  return lengths[second.length]!;
}

/** n-grams of up to this many characters; recall counts twice as much as precision. */
const CHRF_ORDER = 6;
const CHRF_BETA = 2;

/** Numbers that `chrfCounts` returns. */
export const CHRF_COUNTS: number = 3 * CHRF_ORDER;

/** Counts n-grams, of each length: those of the text, of the expected one, and of both. Counts of many texts add up. */
export function chrfCounts(text: string, expected: string): number[] {
  const [own, other] = [Array.from(withoutSpaces(text)), Array.from(withoutSpaces(expected))];
  const counts: number[] = [];
  for (let n = 1; n <= CHRF_ORDER; n++) {
    const [found, wanted] = [grams(own, n), grams(other, n)];
    let common = 0;
    for (const [gram, count] of found) common += Math.min(count, wanted.get(gram) ?? 0);
    const total = Math.max(0, other.length - n + 1);
    counts.push(total === 0 ? 0 : Math.max(0, own.length - n + 1), total, common);
  }
  return counts;
}

/**
 * Returns chrF (Popović 2015) of summed counts, from 0 to 100, as sacrebleu computes it for a corpus:
 *
 *   (1 + β²) · P · R / (β² · P + R)        P, R: means over the lengths of n-grams that both sides have
 */
export function chrfOf(counts: ArrayLike<number>): number {
  let [precision, recall, lengths] = [0, 0, 0];
  for (let n = 0; n < CHRF_ORDER; n++) {
    const [found, wanted, common] = [counts[3 * n]!, counts[3 * n + 1]!, counts[3 * n + 2]!];
    if (found === 0 || wanted === 0) continue;
    precision += common / found;
    recall += common / wanted;
    lengths++;
  }
  if (precision + recall === 0) return 0;
  const [p, r] = [precision / lengths, recall / lengths];
  return (100 * (1 + CHRF_BETA ** 2) * p * r) / (CHRF_BETA ** 2 * p + r);
}

function grams(characters: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= characters.length; i++) {
    const gram = characters.slice(i, i + n).join("");
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}
