import { expect, test } from "vitest";
import { ownRowsOf } from "./beginnings.ts";
import { labelledRows } from "./labelled.ts";

test("labelled rows are found once each, with what every sequence may skip", () => {
  const cuSeqlens = Int32Array.of(0, 5, 8, 10);
  expect(labelledRows(Int32Array.of(2, 3, 6), 10, cuSeqlens, undefined)).toEqual({
    rows_U: Int32Array.of(2, 3, 6),
    placeOf_R: Int32Array.of(0, 1, 2),
    skips_S: Int32Array.of(2, 1, 2),
  });
  // Rows 0 to 4 are those of the first sequence; the second shares 0 and 1, the third all of its own.
  const shared = {
    rowOf_T: Int32Array.of(0, 1, 2, 3, 4, 0, 1, 5, 0, 1),
    tokenOf_C: Int32Array.of(0, 1, 2, 3, 4, 7),
    skips_S: Int32Array.of(0, 2, 2),
    ownRows: Int32Array.of(0, 5, 6, 6),
  };
  expect(labelledRows(Int32Array.of(1, 3, 1, 5, 1), 6, cuSeqlens, shared)).toEqual({
    rows_U: Int32Array.of(1, 3, 5),
    placeOf_R: Int32Array.of(0, 1, 0, 2, 0),
    skips_S: Int32Array.of(1, 2, 2),
  });
  const own = ownRowsOf({ ids_T: new Int32Array(10), cuSeqlens });
  const rows_R = Int32Array.of(4, 5, 9);
  expect(labelledRows(rows_R, 10, cuSeqlens, own)).toEqual(labelledRows(rows_R, 10, cuSeqlens, undefined));
});

test("a pass of few unlabelled rows, or of no labelled ones, computes all", () => {
  const all = Int32Array.from({ length: 10 }, (_, t) => t);
  const cuSeqlens = Int32Array.of(0, 10);
  expect(labelledRows(all.subarray(0), 10, cuSeqlens, undefined)).toBeUndefined();
  expect(labelledRows(all.subarray(1), 10, cuSeqlens, undefined)?.rows_U).toHaveLength(9);
  expect(labelledRows(all.subarray(0, 0), 10, cuSeqlens, undefined)).toBeUndefined();
});
