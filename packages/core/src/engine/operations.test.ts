/** The table is in step with itself and with an engine: every letter has a size, every backward is one. */
import { expect, test } from "vitest";
import { lengthOf } from "./flat.ts";
import type { FlatOperation } from "./operation_rows.ts";
import { flatOperations } from "./operations.ts";
import { createReferenceEngine } from "./reference.ts";
import { specialOperations } from "./special_operations.ts";

const rows = Object.entries<FlatOperation>(flatOperations);

test.each(rows)("%s: its shapes are products of sizes that it has, its names stand once", (_, operation) => {
  const { sizes, numbers, weights, rows: lists, outputs, inputs, maybe } = operation;
  const letters = new Set([...Object.keys(sizes), ...Object.values(lists).map(({ shape }) => shape)]);
  for (const { below } of Object.values(lists)) expect(letters, below).toContain(below);
  for (const letter of Object.values(weights)) expect(letters, letter).toContain(letter);
  for (const shape of [outputs, inputs, maybe].flatMap((arrays) => Object.values(arrays))) {
    expect(Array.from(shape).filter((factor) => !letters.has(factor) && !/\d/.test(factor))).toEqual([]);
  }
  const taken = [weights, lists, inputs, maybe].flatMap((values) => Object.keys(values));
  expect(operation.arguments.flat().toSorted()).toEqual(taken.toSorted());
  const names = [...taken, ...Object.keys(outputs), ...Object.keys(sizes), ...numbers];
  expect(new Set(names).size).toBe(names.length);
});

test.each(rows.filter(([, { backward }]) => backward !== undefined))(
  "%s: its backward takes and returns gradients of its own arrays",
  (_, operation) => {
    const backward: FlatOperation = flatOperations[operation.backward as keyof typeof flatOperations];
    const gradients = Object.entries(operation.inputs).map(([name, shape]) => [`d${name}`, shape]);
    for (const output of Object.entries(backward.outputs)) expect(gradients).toContainEqual(output);
    const known = { ...operation.inputs, ...operation.outputs };
    const upstream = Object.fromEntries(Object.entries(operation.outputs).map(([name, shape]) => [`d${name}`, shape]));
    for (const [name, shape] of Object.entries(backward.inputs))
      expect({ ...known, ...upstream }[name], name).toBe(shape);
    for (const [name, letter] of Object.entries(backward.weights)) expect(operation.weights[name], name).toBe(letter);
    expect(backward.rows).toEqual(operation.rows);
  },
);

test("the reference engine has every operation that has no fall-back, and no other", () => {
  const { name: _name, weightDtypes: _dtypes, softCaps: _caps, readNow: _now, ...methods } = createReferenceEngine();
  const facilities = ["matrix", "upload", "read", "free", "keep", "arena", "kvCache", "deltaState", "freeCache"];
  const ofSomeBases = ["groupedLinear", "groupedLinearBackward", "gatedDelta", "gatedDeltaBackward"];
  const needed = Object.entries(specialOperations).flatMap(([name, { fallBack }]) =>
    fallBack && !ofSomeBases.includes(name) ? [] : [name],
  );
  expect(Object.keys(methods).toSorted()).toEqual(
    [...facilities, ...Object.keys(flatOperations), ...needed].toSorted(),
  );
});

test("a shape is one or two sizes, and digits", () => {
  expect(lengthOf("T2F")({ T: 3, F: 5 })).toBe(30);
  expect(lengthOf("T")({ T: 3 })).toBe(3);
  for (const shape of ["", "2", "TDF"]) expect(() => lengthOf(shape)).toThrow(`Cannot use the shape ${shape}: `);
});
