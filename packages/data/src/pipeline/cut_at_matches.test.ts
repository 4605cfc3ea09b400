/** The examples are those of the documentation of `tokenizers`, and what tokenizers 0.23 gives for the others. */
import { expect, test } from "vitest";
import { type Part, type SplitBehavior, splitBehaviors, splitPart } from "./cut_at_matches.ts";
import { createMatcher } from "./patterns.ts";

const dashes = createMatcher({ String: "-" });
const split = (text: string, behavior: SplitBehavior, isInverted = false) =>
  splitPart({ text, isFirst: true }, dashes, behavior, isInverted).map((part) => part.text);

const expected: Readonly<Record<SplitBehavior, readonly (readonly string[])[]>> = {
  Removed: [
    ["the", "final", "countdown"],
    ["-", "-", "-"],
  ],
  Isolated: [
    ["the", "-", "final", "-", "-", "countdown"],
    ["the", "-", "final", "-", "-", "countdown"],
  ],
  MergedWithPrevious: [
    ["the-", "final-", "-", "countdown"],
    ["the", "-final", "-", "-countdown"],
  ],
  MergedWithNext: [
    ["the", "-final", "-", "-countdown"],
    ["the-", "final-", "-", "countdown"],
  ],
  Contiguous: [
    ["the", "-", "final", "--", "countdown"],
    ["the", "-", "final", "--", "countdown"],
  ],
};

test("the behaviours are those of the library", () => {
  expect(splitBehaviors).toEqual(Object.keys(expected));
});

test.each(splitBehaviors)("%s at a text, and at what lies between", (behavior) => {
  const found = [false, true].map((isInverted) => split("the-final--countdown", behavior, isInverted));
  expect(found).toEqual(expected[behavior]);
});

test.each(splitBehaviors)("%s leaves no empty part at either end, and no part of an empty text", (behavior) => {
  expect([split("", behavior), split("", behavior, true)]).toEqual([[], []]);
  const isKept = behavior !== "Removed";
  expect(split("-", behavior)).toEqual(isKept ? ["-"] : []);
  expect(split("a", behavior)).toEqual(["a"]);
  expect(split("a", behavior, true)).toEqual(isKept ? ["a"] : []);
  expect(split("--a", behavior).join("|")).toBe(
    { Removed: "a", Isolated: "-|-|a", MergedWithPrevious: "-|-|a", MergedWithNext: "-|-a", Contiguous: "--|a" }[
      behavior
    ],
  );
  expect(split("a--", behavior).join("|")).toBe(
    { Removed: "a", Isolated: "a|-|-", MergedWithPrevious: "a-|-", MergedWithNext: "a|-|-", Contiguous: "a|--" }[
      behavior
    ],
  );
});

test("an empty match cuts and is no part itself", () => {
  const between = () => [[1, 1]] as const;
  for (const behavior of splitBehaviors) {
    const parts = splitPart({ text: "ab", isFirst: true }, between, behavior, false);
    expect(parts.map(({ text }) => text)).toEqual(["a", "b"]);
  }
});

test("only the part at the beginning of the whole text is the first, and none is if that was cut off", () => {
  const firsts = (part: Part, behavior: SplitBehavior) =>
    splitPart(part, dashes, behavior, false).map(({ isFirst }) => isFirst);
  expect(firsts({ text: "a-b", isFirst: true }, "Isolated")).toEqual([true, false, false]);
  expect(firsts({ text: "a-b", isFirst: false }, "Isolated")).toEqual([false, false, false]);
  expect(firsts({ text: "-a-b", isFirst: true }, "Removed")).toEqual([false, false]);
  expect(firsts({ text: "-a", isFirst: true }, "MergedWithNext")).toEqual([true]);
});
