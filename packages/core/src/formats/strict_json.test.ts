import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checkNesting, isCutOff, parsePythonJson, parseStrictJson } from "./strict_json.ts";

test("any JSON reads as JSON.parse reads it, however it is spaced", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t", "\r\n "), (value, space) => {
      const text = JSON.stringify(value, null, space);
      expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

function outcome(parse: (text: string) => unknown, text: string): unknown {
  try {
    return { value: parse(text) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return error.message.startsWith("Duplicate key") ? "duplicate key" : "refused";
  }
}

test("any text that JSON.parse refuses is refused with a SyntaxError", () => {
  const broken = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([json, at, insert]) => {
    const cut = at % (json.length + 1);
    return json.slice(0, cut) + insert + json.slice(cut + 1);
  });
  fc.assert(
    fc.property(fc.oneof(broken, fc.string()), (text) => {
      const found = outcome(parseStrictJson, text);
      fc.pre(found !== "duplicate key"); // valid by accident, with a duplicate by accident
      expect(found).toEqual(outcome(JSON.parse, text));
    }),
    { numRuns: 500 },
  );
});

test("a duplicate key is found at any depth, between any neighbours", () => {
  const wrap = fc.constantFrom(
    (inner: string) => inner,
    (inner: string) => `[1, ${inner}]`,
    (inner: string) => `{"outer": ${inner}, "x": "\\"{"}`,
    (inner: string) => `{"a":{"k":1},"b":[{"k":2}],"c":${inner}}`,
  );
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), wrap, (key, first, between, wrapped) => {
      const other = JSON.stringify(`${key}!`);
      const [name, a, b] = [key, first, between].map((part) => JSON.stringify(part));
      expect(() => parseStrictJson(wrapped(`{${name}:${a}, ${other} : ${b},${name} : 0}`))).toThrow("Duplicate key");
      expect(() => parseStrictJson(wrapped(`{${name}:${a}, ${other} : ${b}}`))).not.toThrow();
    }),
  );
});

test("two spellings of one key are one key", () => {
  expect(() => parseStrictJson('{"a": 1, "\\u0061": 2}')).toThrow('Duplicate key "a" in JSON');
});

test("a text in an array or a value that looks like a key is no key", () => {
  expect(parseStrictJson('{"a": "a", "b": ["a", "a", "b"]}')).toEqual({ a: "a", b: ["a", "a", "b"] });
});

test("__proto__ is an own property and changes no prototype; twice it is a duplicate", () => {
  const value = Object(parseStrictJson('{"__proto__": {"polluted": true}}'));
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(Object.entries(value)).toEqual([["__proto__", { polluted: true }]]);
  expect(() => parseStrictJson('{"__proto__": 1, "__proto__": 2}')).toThrow('Duplicate key "__proto__"');
});

test("a thousand brackets within each other are read, more are refused before they cost memory", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  expect(() => parseStrictJson(nested(1000))).not.toThrow();
  for (const text of [nested(1001), "[".repeat(1e5), '{"a":'.repeat(1001), `["\\"",${nested(1000)}]`]) {
    expect(() => parseStrictJson(text)).toThrow("nested more than 1000 deep");
  }
  expect(parseStrictJson(`["${"[".repeat(2000)}", "\\"${"{".repeat(2000)}"]`)).toHaveLength(2);
  expect(parseStrictJson(`[${"[],".repeat(2000)}{}]`)).toHaveLength(2001);
});

test("a text of little but brackets is refused before it costs memory, however flat it is [T-B7]", () => {
  const many = (item: string, count: number) => `[${`${item},`.repeat(count)}{}]`;
  for (const text of [many("[]", 1.5e6), many("{}", 1.5e6), many("[[],[]]", 4e5)]) {
    expect(() => checkNesting(text)).toThrow(/^It is little but brackets: \d+ of them in \d+ characters$/);
    expect(() => parseStrictJson(text)).toThrow(SyntaxError);
  }
  // What formats have, as many as you like: pairs of tokens, records, and brackets in strings.
  for (const text of [many('["a","b"]', 1.5e6), many('{"a":1}', 1.5e6), JSON.stringify("[]".repeat(2e6))]) {
    expect(() => checkNesting(text)).not.toThrow();
  }
  expect(() => checkNesting(many("[]", 9e5))).not.toThrow();
});

test("a JSON text that was cut off anywhere is known as such [T-C3]", () => {
  const whole = '{"a": [1, {"b": "c]\\"}"}], "d": null}';
  for (let length = 1; length < whole.length; length++) expect(isCutOff(whole.slice(0, length))).toBe(true);
  for (const text of [whole, "", "{]", '{"a": nul}', "1 2"]) expect(isCutOff(text)).toBe(false);
});

test("Python's NaN and infinities are read where a value stands, and only there [T-C5]", () => {
  const text = '{"a": NaN, "b": [1, Infinity, {"c": -Infinity}], "NaN": "NaN, Infinity \\" NaN", "d": 0, "e": 1e999}';
  expect(parsePythonJson(text)).toEqual({
    a: Number.NaN,
    b: [1, Number.POSITIVE_INFINITY, { c: Number.NEGATIVE_INFINITY }],
    NaN: 'NaN, Infinity " NaN',
    d: 0,
    e: Number.POSITIVE_INFINITY,
  });
  expect(parsePythonJson("NaN")).toBeNaN();
  expect(Object.keys(parsePythonJson('{"__proto__": NaN}') as object)).toEqual(["__proto__"]);
  for (const wrong of ["-NaN", "[NaN5]", "[1NaN]", "{NaN: 1}", "[--Infinity]", "[nan]", '{"a": NaN, "a": 1}', '"NaN']) {
    expect(() => parsePythonJson(wrong), wrong).toThrow(SyntaxError);
  }
  expect(() => parsePythonJson(`${"[".repeat(5000)}NaN`)).toThrow("nested");
});

test("reads everything beside Python's constants as JSON.parse does", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const { value, nan } = parsePythonJson(`{"value": ${text}, "nan": NaN}`) as { value: unknown; nan: unknown };
      expect(value).toEqual((JSON.parse(`{"value": ${text}}`) as { value: unknown }).value);
      expect(nan).toBeNaN();
    }),
  );
});
