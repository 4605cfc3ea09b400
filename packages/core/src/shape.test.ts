import { expect, test } from "vitest";
import { checkLengths } from "./shape.ts";

test("arrays as long as their shape pass, also empty ones", () => {
  expect(() => {
    checkLengths({ x_TD: new Float32Array(15), y_TD: new Int32Array(15) }, { T: 3, D: 5 });
    checkLengths({ nll_R: [] }, { R: 0 });
  }).not.toThrow();
});

test("the first that is not is named, with the shape it should have", () => {
  const arrays = { y_TD: new Float32Array(15), x_TD: new Float32Array(14) };
  expect(() => checkLengths(arrays, { T: 3, D: 5 })).toThrow(
    new RangeError("Cannot use x_TD: expected 15 elements for shape (T=3, D=5), got 14"),
  );
});
