import { expect, test } from "vitest";
import { isJsonObject, jsonFields, shown } from "./json_fields.ts";

const open = (source: object, label?: string) => {
  const problems: string[] = [];
  return { problems, fields: jsonFields(source as Readonly<Record<string, unknown>>, problems, label) };
};

test("null and absent mean the default, every field that was asked for is remembered", () => {
  const { fields, problems } = open({ a: null, b: 3 });
  expect([fields.raw("a"), fields.raw("b"), fields.raw("c"), fields.raw("toString")]).toEqual([
    undefined,
    3,
    undefined,
    undefined,
  ]);
  expect([fields.has("a"), fields.has("c"), fields.has("toString")]).toEqual([true, false, false]);
  expect([...fields.asked]).toEqual(["a", "b", "c", "toString"]);
  expect(fields.integer("a", { min: 1, fallback: 7 })).toBe(7);
  expect(fields.number("a", { above: 0, fallback: 0.5 })).toBe(0.5);
  expect([fields.boolean("a", true), fields.boolean("c", false)]).toEqual([true, false]);
  expect(problems).toEqual([]);
});

test("integers are whole and within their bounds, by default of 32 bits", () => {
  const { fields, problems } = open({ a: 1, b: 2 ** 31 - 1, c: 5 });
  expect(fields.integer("a", { min: 1 })).toBe(1);
  expect(fields.integer("b", { min: 1 })).toBe(2 ** 31 - 1);
  expect(fields.integer("c", { min: 1, max: 5 })).toBe(5);
  expect(problems).toEqual([]);
  const bad: [unknown, string][] = [
    [0, "0"],
    [1.5, "1.5"],
    ["1", '"1"'],
    [true, "true"],
    [6, "6"],
    [Number.NaN, "NaN"],
    [undefined, "missing"],
  ];
  for (const [value, found] of bad) {
    const one = open({ x: value }, "rope_scaling.");
    expect(one.fields.integer("x", { min: 1, max: 5 })).toBeNaN();
    expect(one.problems).toEqual([`rope_scaling.x is ${found}, needed is an integer from 1 to 5`]);
  }
  const large = open({ x: 2 ** 31 });
  expect(large.fields.integer("x", { min: 1 })).toBeNaN();
  expect(large.problems).toEqual(["x is 2147483648, needed is an integer from 1 to 2147483647"]);
});

test("numbers are finite and above their bound", () => {
  expect(open({ x: 1e-9 }).fields.number("x", { above: 0 })).toBe(1e-9);
  for (const value of [0, -1, Number.POSITIVE_INFINITY, "1", undefined]) {
    const { fields, problems } = open({ x: value });
    expect(fields.number("x", { above: 0 })).toBeNaN();
    expect(problems).toEqual([`x is ${value === undefined ? "missing" : shown(value)}, needed is a number above 0`]);
  }
});

test("a fallback taken from a wrong field is no new problem, a value that is given counts", () => {
  const { fields, problems } = open({ x: 3 });
  expect(fields.integer("y", { min: 1, fallback: Number.NaN })).toBeNaN();
  expect(fields.number("y", { above: 0, fallback: Number.NaN })).toBeNaN();
  expect(fields.integer("x", { min: 1, fallback: Number.NaN })).toBe(3);
  expect(fields.number("x", { above: 0, fallback: Number.NaN })).toBe(3);
  expect(problems).toEqual([]);
});

test("truth values are true or false, anything else is a problem and the default", () => {
  for (const value of [0, "true", []]) {
    const { fields, problems } = open({ x: value });
    expect(fields.boolean("x", true)).toBe(true);
    expect(problems).toEqual([`x is ${JSON.stringify(value)}, needed is true or false`]);
  }
  expect(open({ x: false }).fields.boolean("x", true)).toBe(false);
});

test("values are shown as JSON, cut at 200 characters, with the numbers that JSON does not have by name", () => {
  expect([shown(Number.NaN), shown(-0), shown("a"), shown([1, Number.POSITIVE_INFINITY])]).toEqual([
    "NaN",
    "0",
    '"a"',
    '[1,"Infinity"]',
  ]);
  expect(shown("x".repeat(300))).toBe(`"${"x".repeat(199)}`);
});

test("a JSON object is no list and not null", () => {
  expect([{}, [], null, "a", 3].map(isJsonObject)).toEqual([true, false, false, false, false]);
});
