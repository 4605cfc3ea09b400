import fc from "fast-check";
import { expect, test } from "vitest";
import { joinRows, ownRowsOf, rowsOfCell, sharedRows } from "./beginnings.ts";
import { type Cell, joinCells } from "./tokens.ts";

/** Every token but the first of each sample predicts the next. */
function cellOf(samples: readonly (readonly number[])[]): Cell {
  const cuSeqlens = Int32Array.of(0, ...samples.map((_, s) => samples.slice(0, s + 1).flat().length));
  const rows = samples.flatMap((ids, s) => ids.slice(1).map((_, i) => (cuSeqlens[s] ?? 0) + i));
  return {
    ids_T: Int32Array.from(samples.flat()),
    positions_T: Int32Array.from(samples.flatMap((ids) => ids.map((_, i) => i))),
    cuSeqlens,
    rows_R: Int32Array.from(rows),
    labels_R: Int32Array.from(samples.flatMap((ids) => ids.slice(1))),
  };
}

test("samples share the rows of their beginnings, and of beginnings of beginnings", () => {
  const cell = cellOf([
    [5, 6, 7, 8],
    [5, 6, 9],
    [5, 6, 9, 8],
    [6, 7],
  ]);
  const shared = sharedRows(cell, [0, 0, 0, 0]);
  expect(shared).toEqual({
    rowOf_T: Int32Array.of(0, 1, 2, 3, 0, 1, 4, 0, 1, 4, 5, 6, 7),
    tokenOf_C: Int32Array.of(0, 1, 2, 3, 6, 10, 11, 12),
    skips_S: Int32Array.of(0, 2, 3, 0),
    ownRows: Int32Array.of(0, 4, 5, 6, 8),
  });
  if (!shared) return;
  const rows = rowsOfCell(cell, shared);
  expect(rows.ids_T).toEqual(Int32Array.of(5, 6, 7, 8, 9, 8, 6, 7));
  expect(rows.positions_T).toEqual(Int32Array.of(0, 1, 2, 3, 2, 3, 0, 1));
  expect(rows.rows_R).toEqual(Int32Array.of(0, 1, 2, 0, 1, 0, 1, 4, 6));
  expect(rows.labels_R).toEqual(cell.labels_R);
});

test("samples of different roots share nothing, and little that is shared is left alone", () => {
  const alike = [
    [1, 2, 3],
    [1, 2, 3],
  ];
  expect(sharedRows(cellOf(alike), [0, 1])).toBeUndefined();
  expect(sharedRows(cellOf(alike), [1, 1])?.tokenOf_C.length).toBe(3);
  const tenth = [
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [1, 2, 30, 40, 50, 60, 70, 80, 90, 11],
  ];
  expect(sharedRows(cellOf(tenth), [0, 0])?.tokenOf_C.length).toBe(18);
  expect(sharedRows(cellOf([[...(tenth[0] ?? []), 12], tenth[1] ?? []]), [0, 0])).toBeUndefined();
});

const anySamples = fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 9 }), {
  minLength: 1,
  maxLength: 9,
});

test("tokens have one row exactly if all tokens before them are the same", () => {
  fc.assert(
    fc.property(anySamples, fc.array(fc.nat(1), { minLength: 9, maxLength: 9 }), (samples, roots) => {
      const shared = sharedRows(cellOf(samples), roots);
      if (!shared) return;
      const beginnings = samples.flatMap((ids, s) =>
        ids.map((_, i) => `${roots[s]}: ${ids.slice(0, i + 1).join(" ")}`),
      );
      const firsts = [...new Set(beginnings)];
      expect([...shared.rowOf_T]).toEqual(beginnings.map((one) => firsts.indexOf(one)));
      expect([...shared.tokenOf_C]).toEqual(firsts.map((one) => beginnings.indexOf(one)));
    }),
  );
});

test("the rows of joined cells are those of each, behind one another", () => {
  const alike = cellOf([
    [1, 2, 3],
    [1, 2, 4],
  ]);
  const own = sharedRows(alike, [0, 0]);
  expect(own).toBeDefined();
  if (!own) return;
  const joined = joinRows([own, ownRowsOf(alike), own]);
  expect(joined.rowOf_T).toEqual(Int32Array.of(0, 1, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 10, 11, 13));
  expect(joined.tokenOf_C).toEqual(Int32Array.of(0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17));
  expect(joined.skips_S).toEqual(Int32Array.of(0, 2, 0, 0, 0, 2));
  expect(joined.ownRows).toEqual(Int32Array.of(0, 3, 4, 7, 10, 13, 14));
  expect(rowsOfCell(joinCells([alike, alike, alike]), joined).ids_T.length).toBe(14);
});
