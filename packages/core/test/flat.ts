/**
 * Conformance of all flat operations, case by case from core's table: each forward against `oracle.ts`, each backward against
 * its finite differences, with and without what may be left out.
 */
import { expect, test } from "vitest";
import type { DeviceArray, Engine } from "../src/engine/engine.ts";
import { lengthOf } from "../src/engine/flat.ts";
import type { FlatName, FlatOperation, RowList, Sizes } from "../src/engine/operation_rows.ts";
import { flatOperations } from "../src/engine/operations.ts";
import { expectClose, expectGradient, expectSameBits, single, wave } from "./numeric.ts";
import { type FlatInput, flat as oracle } from "./oracle.ts";

interface Trial {
  readonly sizes: readonly Sizes[];
  /** The numbers of an input, made of uneven ones of order one. */
  readonly numbers?: (x: number, i: number) => number;
}

/** Numbers of operations, by name. */
const settings: Readonly<Record<string, number>> = { eps: 1e-5, factor: -0.375, cap: 1.25 };
const each = (names: string, ...sizes: readonly (readonly number[])[]) =>
  sizes.map((values) => Object.fromEntries(Array.from(names).map((name, i) => [name, values[i]])));
const activation = each("TF", [1, 1], [3, 5], [6, 48]);
const columns = each("TABX", [1, 1, 1, 2], [3, 5, 2, 7], [7, 24, 40, 64]);
const alsoFlat = (x: number, i: number) => (i % 5 === 0 ? 12 * x : 3 * x); // where gelu is 0, or its argument

/** Operations that want other cases than the plain ones. */
const trials: Readonly<Partial<Record<FlatName, Trial>>> = {
  rmsNorm: { sizes: each("TD", [1, 2], [3, 5], [7, 64]) },
  // Far from 0: the mean must not cost the digits of the deviation.
  layerNorm: { sizes: each("TD", [1, 4], [3, 5], [7, 64], [2, 131]), numbers: (x) => x + 5 },
  scaleShift: { sizes: each("TNS", [1, 1, 1], [5, 7, 2], [21, 20, 3]) },
  rmsNormBySet: { sizes: each("TDS", [1, 2, 1], [5, 7, 2], [21, 20, 3]) },
  rmsNormWeightBackward: { sizes: each("TDS", [1, 2, 1], [5, 7, 2], [700, 20, 2]) },
  splitColumns: { sizes: columns },
  joinColumns: { sizes: columns },
  swiglu: { sizes: activation, numbers: (x) => 3 * x },
  geglu: { sizes: activation, numbers: alsoFlat },
  gelu: { sizes: activation, numbers: alsoFlat },
};

/** Sizes of any operation; later letters are smaller, so that a list can have distinct rows. */
function plainSizes(operation: FlatOperation): readonly Sizes[] {
  const lists = Object.values(operation.rows).flatMap(({ shape, below }) => [below, shape]);
  const letters = [...new Set([...lists, ...Object.keys(operation.sizes)])];
  return [
    [1, 1, 1, 1],
    [5, 3, 7, 2],
    [33, 20, 12, 4],
  ].map((values) => Object.fromEntries(letters.map((letter, i) => [letter, values[i]])));
}

/** Distinct rows that do not ascend while there are enough; each other one is missing if that is allowed. */
function rowsOf({ shape, below, least }: RowList, size: Sizes): Int32Array {
  const limit = size[below];
  return Int32Array.from({ length: lengthOf(shape)(size) }, (_, i) =>
    least === -1 && i % 3 === 1 ? -1 : (limit - 1 - (i % limit) + limit) % limit,
  );
}

const f32 = (values: Float64Array) => ({
  dtype: "f32" as const,
  shape: [values.length],
  bytes: new Uint8Array(single(values).buffer),
});

/** Calls an operation of an engine; all that it takes by name. Returns its outputs by name. */
function call(engine: Engine, name: FlatName, values: Readonly<Record<string, unknown>>, size: Sizes) {
  const operation: FlatOperation = flatOperations[name];
  const args = operation.arguments.map((names) =>
    typeof names === "string"
      ? values[names]
      : Object.fromEntries(names.flatMap((field) => (values[field] === undefined ? [] : [[field, values[field]]]))),
  );
  const result: unknown = Reflect.apply(engine[name], engine, [...args, size]);
  const outputs = Object.keys(operation.outputs);
  return (outputs.length === 1 ? { [outputs[0]]: result } : result) as Readonly<Record<string, DeviceArray>>;
}

/** Uneven numbers for each name, the same in every run. */
const numbersOf = (shapes: Readonly<Record<string, string>>, size: Sizes, phase: number): [string, Float64Array][] =>
  Object.entries(shapes).map(([name, shape], i) => [name, wave(lengthOf(shape)(size), phase + 0.8 * i)]);

function deviceValues(engine: Engine, operation: FlatOperation, numbers: FlatInput, lists: object) {
  const entries = Object.entries(numbers).map(([name, values]) => [
    name,
    name in operation.weights ? engine.matrix(f32(values)) : engine.upload(single(values)),
  ]);
  return { ...lists, ...Object.fromEntries(entries) };
}

/** Asks an engine for every flat operation, and for its backward. `run` opens an arena of it. */
export function describeFlat(run: (work: (engine: Engine) => Promise<void>) => Promise<void>, tolerance: number): void {
  for (const [key, operation] of Object.entries<FlatOperation>(flatOperations)) {
    const name = key as FlatName;
    const forward = oracle[name];
    if (!forward) continue; // a backward; the last test misses what neither is judged forward nor is a backward
    const { sizes = plainSizes(operation), numbers = (x: number) => x } = trials[name] ?? {};
    test.each(sizes.map((size) => [titleOf(size), size] as const))(
      `${name} %s: forward${operation.backward ? " and backward with and without what is optional" : ""}`,
      (_title, bare) =>
        run(async (engine) => {
          const size = {
            ...bare,
            ...Object.fromEntries(operation.numbers.map((number) => [number, settings[number]])),
          };
          const inputs = numbersOf(operation.inputs, size, 0.3).map(([input, values]) => {
            return [input, Float64Array.from(values, (x, i) => Math.fround(numbers(x, i)))] as const;
          });
          const given: FlatInput = Object.fromEntries([...inputs, ...numbersOf(operation.weights, size, 1.1)]);
          const lists = Object.fromEntries(
            Object.entries(operation.rows).map(([list, row]) => [list, rowsOf(row, size)]),
          );
          const listed = Object.fromEntries(
            Object.entries(lists).map(([list, rows]) => [list, Float64Array.from(rows)]),
          );
          const truth = (change: FlatInput) => forward({ ...given, ...listed, ...change }, size);
          const values = deviceValues(engine, operation, given, lists);
          const outputs = call(engine, name, values, size);
          const [y] = Object.keys(operation.outputs);
          const expectEqual = operation.tolerance === 0 ? expectSameBits : expectClose;
          expectEqual(await engine.read(outputs[y]), truth({}), operation.tolerance * tolerance, y);
          for (const [maybe, shape] of Object.entries(operation.maybe)) {
            const past = wave(lengthOf(shape)(size), 0.8);
            const added = call(engine, name, { ...values, [maybe]: engine.upload(single(past)) }, size);
            const expected = truth({}).map((value, i) => value + past[i]);
            expectClose(await engine.read(added[y]), expected, operation.tolerance * tolerance, `${y} + ${maybe}`);
          }
          if (operation.backward) {
            await expectBackward(engine, operation, {
              values: { ...values, ...outputs },
              given,
              truth,
              size,
              tolerance,
            });
          }
        }),
    );
  }

  test("both parts of columns that are cut keep their bits, and sizes that do not add up are refused", () =>
    run(async (engine) => {
      const x = Float32Array.from({ length: 15 }, (_, i) => i + 0.25);
      const size = { T: 3, A: 2, B: 3, X: 5 };
      const { a_TA, b_TB } = engine.splitColumns(engine.upload(x), size);
      expect([...(await engine.read(b_TB))]).toEqual([...x].filter((_, i) => i % 5 >= 2));
      expect(await engine.read(engine.joinColumns(a_TA, b_TB, size))).toEqual(x);
      expect(() => engine.splitColumns(engine.upload(x), { ...size, A: 3 })).toThrow(
        "Cannot cut rows of 5 numbers into 3 and 3: they must add up",
      );
    }));

  test("every flat operation is judged: by its formula, or as the backward of one that is", () => {
    const backwards = Object.values<FlatOperation>(flatOperations).map(({ backward }) => backward);
    const names = Object.keys(flatOperations);
    expect(names.filter((name) => !(name in oracle) && !backwards.includes(name as FlatName))).toEqual([]);
    expect(Object.keys(oracle).filter((name) => !names.includes(name))).toEqual([]);
  });
}

interface Judged {
  readonly values: Readonly<Record<string, unknown>>;
  readonly given: FlatInput;
  readonly truth: (change: FlatInput) => Float64Array;
  readonly size: Sizes;
  readonly tolerance: number;
}

async function expectBackward(engine: Engine, operation: FlatOperation, judged: Judged): Promise<void> {
  const { values, given, truth, size, tolerance } = judged;
  const name = operation.backward as FlatName;
  const backward: FlatOperation = flatOperations[name];
  const [y] = Object.entries(operation.outputs);
  const [, dy] = numbersOf({ [`d${y[0]}`]: y[1] }, size, 2.2)[0];
  const passed = { ...values, [`d${y[0]}`]: engine.upload(single(dy)) };
  const gradients = call(engine, name, passed, size);
  const [first] = Object.keys(backward.outputs);
  const dx = await engine.read(gradients[first]);
  for (const output of Object.keys(backward.outputs)) {
    const input = output.slice(1);
    const at = (x: Float64Array) => truth({ [input]: x });
    const gradient = await engine.read(gradients[output]);
    const allowed = Math.max(backward.tolerance, 1) * tolerance;
    expectGradient(at, given[input], dy, gradient, allowed, `${name}, ${output}`);
  }
  for (const [maybe, shape] of Object.entries(backward.maybe)) {
    const past = wave(lengthOf(shape)(size), 0.8);
    const added = call(engine, name, { ...passed, [maybe]: engine.upload(single(past)) }, size);
    const expected = Float64Array.from(dx, (g, i) => g + past[i]);
    expectClose(await engine.read(added[first]), expected, tolerance, `${first} + ${maybe}`);
  }
}

const titleOf = (size: Sizes) =>
  Object.entries(size)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
