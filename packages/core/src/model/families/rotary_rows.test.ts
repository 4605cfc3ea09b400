import { expect, test } from "vitest";
import { rotaryRows } from "./rotary_rows.ts";

test("rows of a head lie where the pairs of its rotation are, each once; values keep their places", () => {
  const rowTo = rotaryRows({ headDim: 8, rotaryDim: 4 }, 2);
  const rows = Array.from({ length: 24 }, (_, row) => rowTo?.(row));
  const head = [0, 1, 4, 5, 2, 3, 6, 7];
  expect(rows).toEqual([...head, ...head.map((row) => row + 8), 16, 17, 18, 19, 20, 21, 22, 23]);
  expect(rotaryRows({ headDim: 8 }, 2)).toBeUndefined();
});
