import { expect, test } from "vitest";
import { packCell, type TokenSet } from "./tokens.ts";

const tokens: TokenSet = {
  ids: Int32Array.of(1, 10, 11, 12, 2, 1, 20, 1, 30, 31),
  target: Uint8Array.of(0, 0, 1, 1, 1, 0, 0, 1, 0, 1),
  offsets: Float64Array.of(0, 5, 7, 10),
  hash: "",
};

test("samples lie back to back, positions restart, and the token before a target predicts it", () => {
  expect(packCell(tokens, [0, 1])).toEqual({
    ids_T: Int32Array.of(1, 10, 11, 12, 2, 1, 20),
    positions_T: Int32Array.of(0, 1, 2, 3, 4, 0, 1),
    cuSeqlens: Int32Array.of(0, 5, 7),
    rows_R: Int32Array.of(1, 2, 3),
    labels_R: Int32Array.of(11, 12, 2),
  });
});

test("samples come in the order asked for, once or more often", () => {
  const { ids_T, cuSeqlens, rows_R, labels_R } = packCell(tokens, [2, 0, 2]);
  expect([...ids_T]).toEqual([1, 30, 31, 1, 10, 11, 12, 2, 1, 30, 31]);
  expect([...cuSeqlens]).toEqual([0, 3, 8, 11]);
  expect([...rows_R]).toEqual([1, 4, 5, 6, 9]);
  expect([...labels_R]).toEqual([31, 11, 12, 2, 31]);
});

test("the first token of a sample is never a target: the sample before must not predict it", () => {
  expect(tokens.target[7]).toBe(1); // sample 2 marks its first token
  expect([...packCell(tokens, [1, 2]).rows_R]).toEqual([3]);
});

test("no samples make an empty cell", () => {
  expect(packCell(tokens, [])).toEqual({
    ids_T: new Int32Array(0),
    positions_T: new Int32Array(0),
    cuSeqlens: Int32Array.of(0),
    rows_R: new Int32Array(0),
    labels_R: new Int32Array(0),
  });
});
