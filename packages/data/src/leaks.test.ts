import { expect, test } from "vitest";
import { findLeaks } from "./leaks.ts";

/** Samples of a question and an answer each. */
function setOf(samples: readonly (readonly [question: readonly number[], answer: readonly number[]])[]) {
  const offsets = new Float64Array(samples.length + 1);
  for (const [i, [question, answer]] of samples.entries()) {
    offsets[i + 1] = offsets[i]! + question.length + answer.length;
  }
  const target = Uint8Array.from(
    samples.flatMap(([question, answer]) => [...question.map(() => 0), ...answer.map(() => 1)]),
  );
  const tokens = { ids: Int32Array.from(samples.flat(2)), target, offsets, hash: "" };
  return { tokens, samples: Int32Array.from(samples.keys()) };
}

const train = setOf([
  [[1, 2], [3]],
  [
    [1, 4],
    [5, 6],
  ],
  [[1, 7], [8]],
  [[1, 4], [9]],
]);

test("held-out samples that are trained on are counted once: as they are, or with another answer [D-check-leak]", () => {
  const held = setOf([
    [[1, 9], [3]],
    [[1, 4], [7]],
    [[1, 7], [8]],
    [[1, 7], [8]],
    [[1, 2], [3]],
  ]);
  expect(findLeaks(train, held, true)).toEqual({ same: 3, sameQuestion: 1, first: { validation: 1, train: 1 } });
  expect(findLeaks(train, held, false)).toEqual({ same: 3, sameQuestion: 0, first: { validation: 2, train: 2 } });
});

test("the first training sample leaks like any other [D-check-leak]", () => {
  const held = setOf([[[1, 2], [4]]]);
  expect(findLeaks(train, held, true)).toEqual({ same: 0, sameQuestion: 1, first: { validation: 0, train: 0 } });
});

test("both sides may be of one set, and only the chosen samples count [D-check-leak]", () => {
  const { tokens } = train;
  const sides = [
    { tokens, samples: Int32Array.of(0, 3) },
    { tokens, samples: Int32Array.of(1, 2) },
  ] as const;
  expect(findLeaks(...sides, true)).toEqual({ same: 0, sameQuestion: 1, first: { validation: 1, train: 3 } });
  expect(findLeaks({ tokens, samples: Int32Array.of(0) }, sides[1], true).first).toBeUndefined();
});
