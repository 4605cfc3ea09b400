import { expect, test } from "vitest";
import { readFixedPoint } from "./fixed_point.ts";
import { addCell, addendLimit, addSlot, checkTail, clearSlot, createSlot, gradientSum, slotTotals } from "./slot.ts";

const size = { parameters: 2, maxCells: 3 };
const cellSum = (cell: number) => ({
  cell,
  gradient: Float32Array.of(0.25 * (cell + 1), -1e-3 * (cell + 1)),
  lossSum: 1.5 + cell,
  labelledTokens: 10 + cell,
});

test("two slots add up to the sum of all cells, and the tail holds", () => {
  const [a, b] = [createSlot(size), createSlot(size)];
  for (const cell of [2, 0]) expect(addCell(a, cellSum(cell))).toBeUndefined();
  addCell(b, cellSum(1));
  addSlot(a, b);
  expect(checkTail(a, 3, 33)).toEqual([]);
  expect(slotTotals(a)).toEqual({ lossSum: 7.5, labelledTokens: 33 });
  const gradient = new Float32Array(2);
  readFixedPoint(gradientSum(a), gradient);
  expect(gradient[0]).toBe(1.5);
  expect(gradient[1]).toBeCloseTo(-6e-3, 9);
});

test("checkTail names a cell that is missing, doubled or from elsewhere, and wrong token counts", () => {
  const slot = createSlot(size);
  for (const cell of [0, 0, 2]) addCell(slot, cellSum(cell));
  expect(checkTail(slot, 2, 21)).toEqual([
    "cell 0 was added 2 times, expected 1",
    "cell 1 was added 0 times, expected 1",
    "cell 2 was added 1 times, expected 0",
    "32 labelled tokens were added, expected 21",
  ]);
  clearSlot(slot);
  expect(checkTail(slot, 0, 0)).toEqual([]);
});

test("addCell names the last number of a gradient that cannot be added, and the loss, and the tail counts them", () => {
  const slot = createSlot(size);
  const gradient = Float32Array.of(-512, Number.NaN);
  const last = { parameter: 1, value: Number.NaN };
  expect(addCell(slot, { ...cellSum(0), gradient })).toEqual({ count: 2, loss: undefined, gradient: last });
  const lost = { count: 1, loss: Number.POSITIVE_INFINITY, gradient: undefined };
  expect(addCell(slot, { ...cellSum(1), lossSum: Number.POSITIVE_INFINITY })).toEqual(lost);
  expect(checkTail(slot, 2, 21)).toEqual(["3 numbers are not finite or too large (limit 512)"]);
});

test("a loss that is summed in another order has the same bits", () => {
  const losses = [0.1, 1e4 / 3, 2e-7];
  const [a, b] = [createSlot(size), createSlot(size)];
  for (const [cell, lossSum] of losses.entries()) addCell(a, { ...cellSum(cell), lossSum });
  for (const [i, lossSum] of losses.toReversed().entries()) addCell(b, { ...cellSum(2 - i), lossSum });
  expect(slotTotals(a)).toEqual(slotTotals(b));
  expect(slotTotals(a).lossSum).toBeCloseTo(1e4 / 3 + 0.1 + 2e-7, 8);
});

test("a cell's loss is rounded to the nearest 2⁻³², ties to even", () => {
  const slot = createSlot({ parameters: 0, maxCells: 4 });
  const rounded = [0.5, 1.5, 2.75, -1.75].map((units, cell) => {
    const before = slotTotals(slot).lossSum;
    addCell(slot, { cell, gradient: new Float32Array(0), lossSum: units * 2 ** -32, labelledTokens: 1 });
    return (slotTotals(slot).lossSum - before) * 2 ** 32;
  });
  expect(rounded).toEqual([0, 2, 3, -2]);
});

test("addCell refuses a gradient or cell that does not fit, and adds nothing", () => {
  const slot = createSlot(size);
  expect(() => addCell(slot, { ...cellSum(0), gradient: new Float32Array(3) })).toThrow(
    "Cannot add cell 0: its gradient has 3 numbers, the slot 2",
  );
  expect(() => addCell(slot, cellSum(3))).toThrow("Cannot add cell 3: the slot has cells 0 to 2");
  expect(slot.sums.every((word) => word === 0)).toBe(true);
});

test("the limit shrinks with the cells of a step, so that their sum cannot overflow", () => {
  expect([1, 64, 65, 128, 129].map(addendLimit)).toEqual([512, 512, 256, 256, 128]);
});
