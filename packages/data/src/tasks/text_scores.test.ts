/** Scores of written answers: by hand, and on random pairs those of Python's rouge-score and sacrebleu. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { absentModules, python } from "../../../../tests/support/python.ts";
import { chrfCounts, chrfOf, isExactMatch, rougeL } from "./text_scores.ts";
import { scoreWritten } from "./written_scores.ts";

const chrF = (text: string, expected: string) => chrfOf(chrfCounts(text, expected));

test("ROUGE-L is F of the longest common subsequence of words, chrF of n-grams of characters [D-written-scores]", () => {
  // Lin 2004, §3.1: 3 of 4 words stand in order, then 2 of 4.
  expect(rougeL("police kill the gunman", "Police killed the gunman!")).toBe(0.75);
  expect(rougeL("the gunman kill police", "police killed the gunman")).toBe(0.5);
  expect([rougeL("", "a"), rougeL("a", ""), rougeL("你好", "你好")]).toEqual([0, 0, 0]);
  expect([chrF("abc", "a b\u0085c"), chrF("", "abc"), chrF("abc", "xyz")]).toEqual([100, 0, 0]);
  // n = 1: 2 of 3 and 2 of 2; n = 2: 1 of 2 and 1 of 1; longer ones has one side alone. P = 7/12, R = 1.
  expect(chrF("abx", "ab")).toBeCloseTo((100 * 5 * (7 / 12)) / (4 * (7 / 12) + 1), 10);
  expect([isExactMatch(" a\n", "a"), isExactMatch("A", "a")]).toEqual([true, false]);
});

test("models are compared on the same answers, with intervals that are the same each time [D-written-scores]", () => {
  const answers = Array.from({ length: 40 }, (_, i) => ({
    expected: `the number ${i}`,
    texts: [`a number ${i % 7}`, i % 4 === 0 ? "nothing" : `the number ${i}`],
  }));
  const { results, differences } = scoreWritten(["base", "adapter"], answers);
  const [base, adapter] = results;
  expect(adapter?.exactMatch.value).toBe(0.75);
  expect(adapter?.rougeL.value).toBeCloseTo(0.75, 12);
  expect(base?.exactMatch.value).toBe(0);
  for (const metric of ["exactMatch", "rougeL", "chrF"] as const) {
    const [value, [low, high]] = [differences[0]?.[metric].value ?? 0, differences[0]?.[metric].interval ?? [0, 0]];
    expect(value).toBeCloseTo((adapter?.[metric].value ?? 0) - (base?.[metric].value ?? 0), 10);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
    expect(low).toBeGreaterThan(0);
  }
  expect(scoreWritten(["base", "adapter"], answers)).toEqual({ results, differences });
  expect(scoreWritten(["one"], []).results[0]?.exactMatch).toEqual({ value: Number.NaN, interval: [0, 1] });
});

const absent = absentModules("sacrebleu");

test.skipIf(absent !== "")(
  `500 random pairs have the scores of rouge-score and sacrebleu, each and all together [D-written-scores]${absent}`,
  () => {
    const word = fc.constantFrom(
      "the",
      "The",
      "a",
      "cat",
      "cat's",
      "sat",
      "42",
      "3.5",
      "naïve",
      "你好",
      "世界",
      "İ",
      "ſ",
      "🙂",
      "\u0085",
      "\ufeff",
      "\u001c",
    );
    const text = fc.oneof(
      fc.array(word, { maxLength: 12 }).map((words) => words.join(" ")),
      fc.string({ unit: "grapheme", maxLength: 30 }),
    );
    const near = fc.tuple(text, fc.nat(10)).map(([all, cut]) => [
      all,
      Array.from(all)
        .slice(0, -1 - cut)
        .join(""),
    ]);
    const pairs = fc.sample(fc.oneof(fc.tuple(text, text), near), { numRuns: 500, seed: 8 });
    const script = fileURLToPath(new URL("text_scores.py", import.meta.url));
    const answer = execFileSync(python, [script], { input: JSON.stringify(pairs), maxBuffer: 2 ** 26 }).toString();
    const found = JSON.parse(answer) as { rouge: number[]; chrf: number[]; corpus: number };
    const counts = pairs.map(([own = "", expected = ""]) => chrfCounts(own, expected));
    for (const [i, [own = "", expected = ""]] of pairs.entries()) {
      expect(rougeL(own, expected), JSON.stringify(pairs[i])).toBeCloseTo(found.rouge[i] ?? -1, 12);
      expect(chrfOf(counts[i] ?? []), JSON.stringify(pairs[i])).toBeCloseTo(found.chrf[i] ?? -1, 9);
    }
    const sums = Array.from({ length: 18 }, (_, i) => counts.reduce((sum, own) => sum + (own[i] ?? 0), 0));
    expect(chrfOf(sums)).toBeCloseTo(found.corpus, 9);
  },
);
