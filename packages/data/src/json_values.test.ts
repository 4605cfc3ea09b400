import { describe, expect, test } from "vitest";
import { isOneValue, nonFinite, parseJson, parseValues } from "./json_values.ts";

describe("numbers that JSON does not have", () => {
  test("are found as values, wherever they stand, and known by their names", () => {
    const values = parseJson('[NaN, Infinity, -Infinity, {"NaN": NaN}, 1]') as unknown[];
    expect(values.map(nonFinite)).toEqual(["NaN", "Infinity", "-Infinity", undefined, undefined]);
    expect(nonFinite((values[3] as Record<string, unknown>)["NaN"])).toBe("NaN");
    for (const other of [null, "NaN", { a: 1 }, undefined, Number.NaN]) expect(nonFinite(other)).toBeUndefined();
  });

  test("are not read out of texts, after any escapes", () => {
    expect(parseJson(String.raw`{"a": "NaN", "b": "\"NaN\\", "c": 1}`)).toEqual({ a: "NaN", b: '"NaN\\', c: 1 });
    const mixed = parseJson(String.raw`["\" NaN", NaN, "\\", Infinity]`) as unknown[];
    expect([mixed[0], nonFinite(mixed[1]), mixed[2], nonFinite(mixed[3])]).toEqual(['" NaN', "NaN", "\\", "Infinity"]);
  });

  test("mend nothing else: what is no JSON throws the parser's own error", () => {
    for (const text of ["{a}", '{"a": NaN', '"NaN', "[NaN", ""])
      expect(() => parseJson(text), text).toThrow(SyntaxError);
    expect(() => parseJson('{"a": "NaN",}')).toThrow("Expected double-quoted property name");
  });
});

test("a text is one value if its brackets close at its end and nothing follows", () => {
  for (const text of ["{}", ' {"a": [1]} ', "[[]]", '"a b"', "1", "null", String.raw`{"a": "}\""}`]) {
    expect(isOneValue(text), text).toBe(true);
  }
  for (const text of ["", "  ", "{", '{"a": "}', "{}{}", "{} x", "1 2", '{"a": 1}]', "]", '"a'])
    expect(isOneValue(text), text).toBe(false);
});

const values = (text: string) => parseValues(text)?.values;
const fault = (text: string) => {
  try {
    parseValues(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
};

describe("values of a text", () => {
  test("are a list's elements, or stand one after another, on any lines", () => {
    expect(parseValues(' [{"a": 1}, 2] ')).toEqual({ values: [{ a: 1 }, 2], isList: true });
    expect(parseValues('{"a":\n1}\n{"a": "}"} {"a":[{}]}{}')).toEqual({
      values: [{ a: 1 }, { a: "}" }, { a: [{}] }, {}],
      isList: false,
    });
    expect(values('"a" 1 true{"b":2}null')).toEqual(["a", 1, true, { b: 2 }, null]);
    expect(values("")).toEqual([]);
    expect(values('{"a":1}\n\n')).toEqual([{ a: 1 }]);
  });

  test("are those of lines if the second line is a whole object", () => {
    expect(parseValues('{"a": oh}\n{"a": 1}')).toBeUndefined();
    expect(parseValues('{"a": 1},\n {"a": 2}\n')).toBeUndefined();
    expect(parseValues('{"a": 1}}\n{"a": 2}')).toBeUndefined();
    expect(fault('{"a": oh}\n"text"')).toMatch(/^record 0 \(line 1\) is not JSON \(/);
    expect(fault('{"a": oh}\n{"a": 1')).toMatch(/^record 0 \(line 1\) is not JSON \(/);
  });

  test("name the first of them that is at fault, with its line", () => {
    expect(fault('{"a":\n1}\n\n{"b":\noh}')).toMatch(/^record 1 \(line 4\) is not JSON \(Unexpected token/);
    expect(fault('{"a":\n1},\n{"b":\n1}')).toBe(
      "record 1 (line 3) follows a comma: put [ in front of all records and ] behind them",
    );
    expect(fault('{"a":\n1}\n{"b":')).toBe("record 1 (line 3) is cut off: the file ends inside it, copy it again");
    expect(fault('{"a":\n1}\n ]')).toBe("line 3 closes a bracket that nothing opened");
    expect(fault('{"a":\n\t\u0001 oh}')).not.toMatch(/\p{Cc}/u);
  });
});

describe("a value that is no list", () => {
  test("is named by record and line", () => {
    expect(fault('[{"a": 1},\n{"a": oh}]')).toMatch(/^record 1 \(line 2\) is not JSON \(/);
    expect(fault('[{"a": 1},\n{"a": 1')).toBe("record 1 (line 2) is cut off: the file ends inside it, copy it again");
    expect(fault('[{"a": 1}\n{"a": 2}]')).toBe("no comma stands before record 1 (line 2)");
    expect(fault('[{"a": 1},\n,{"a": 2}]')).toBe("too many commas stand before record 1 (line 2)");
    expect(fault('[,{"a": 1}]')).toBe("too many commas stand before record 0 (line 1)");
    expect(fault('[{"a": 1}, {"b": 2}, {"c": 3} {"d": 4}]')).toBe("no comma stands before record 3 (line 1)");
  });

  test("is named by its end", () => {
    expect(fault('[{"a": 1},\n{"a": 2}')).toBe(
      "the list is not closed after 2 records: the file was cut off, copy it again",
    );
    expect(fault('[{"a": 1},\n{"a": 2}}')).toBe(
      "the list is not closed after 2 records: the file was cut off, copy it again",
    );
    expect(fault('[{"a": 1},\n]')).toBe("a comma follows the last record (line 2)");
    expect(fault('[{"a": 1}]\n[{"a": 2}]')).toBe(
      "more follows the list that ends in line 1, one list is needed: jq -c '.[]' makes lines of several",
    );
  });
});
