import { DeadlyCellError, DeviceDiedError, StepRefusedError } from "@zerogate/core";
import { describeBadNumbers } from "@zerogate/core/training";
import { expect, test } from "vitest";

const nameOf = (parameter: number) => `gate ${parameter}`;

test.each([
  [{ count: 1, loss: Number.NaN, gradient: undefined }, "the loss is NaN"],
  [{ count: 1, loss: undefined, gradient: { parameter: 3, value: 600 } }, "the gradient of gate 3 is 600"],
  [{ count: 2, loss: 0, gradient: { parameter: 0, value: -1 } }, "the loss is 0, the gradient of gate 0 is -1"],
  [
    { count: 3, loss: 0, gradient: { parameter: 0, value: -1 } },
    "the loss is 0, the gradient of gate 0 is -1, 1 more numbers",
  ],
  [{ count: 5, loss: undefined, gradient: { parameter: 1, value: 7 } }, "the gradient of gate 1 is 7, 4 more numbers"],
])("bad numbers %j are described as %s", (bad, text) => {
  expect(describeBadNumbers(bad, nameOf)).toBe(text);
});

test("a refused step names each cell with its samples, and what to do", () => {
  const bad = { count: 1, loss: Number.NaN, gradient: undefined };
  const cells = [
    { ...bad, cell: 2, samples: [4, 5] },
    { ...bad, cell: 3, samples: [6], loss: undefined, gradient: { parameter: 9, value: Number.NaN } },
  ];
  const error = new StepRefusedError(7, cells);
  expect(error).toMatchObject({ name: "StepRefusedError", step: 7, badCells: cells });
  expect(error.message).toBe(
    [
      "Cannot take step 7: numbers are not finite or too large, lower the learning rate or inspect these samples",
      "  - cell 2 (samples 4, 5): the loss is NaN",
      "  - cell 3 (samples 6): the gradient of parameter 9 is NaN",
    ].join("\n"),
  );
});

test("a deadly cell is named with its samples, a prompt without", () => {
  const cause = new DeviceDiedError(1, "step 3 cell 2, linear (operation 4)", new Error("gone"));
  const cell = new DeadlyCellError("step 3", 2, [7, 8], cause);
  expect(cell).toMatchObject({ name: "DeadlyCellError", of: "step 3", cell: 2, samples: [7, 8], cause });
  expect(cell.message).toBe(
    "Cannot finish step 3: cell 2 (samples 7, 8) ended two workers, last by: gone, at step 3 cell 2, linear (operation 4)",
  );
  expect(new DeadlyCellError("generation", 0, [], cause).message).toMatch(
    /^Cannot finish generation: prompt 0 ended two workers, last by: gone/,
  );
  expect(new DeviceDiedError(0, "load", "its port was closed")).toMatchObject({ reason: "its port was closed" });
});
