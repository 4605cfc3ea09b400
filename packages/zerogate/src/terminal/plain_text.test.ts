import { expect, test } from "vitest";
import { continued, plainCell, plainText, spaced } from "./plain_text.ts";

/** Everything that steers a terminal or turns the direction of writing, but line breaks and tabs. */
const steering = [
  Array.from({ length: 0x20 }, (_, i) => i).filter((code) => code !== 9 && code !== 10),
  Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  [0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
]
  .flat()
  .map((code) => String.fromCharCode(code));

test.each(steering.map((character) => [`U+${character.charCodeAt(0).toString(16).padStart(4, "0")}`, character]))(
  "%s is shown by its number and never written [T-B6]",
  (name, character) => {
    const escape = `\\u${name.slice(2)}`;
    expect(plainText(`a${character}b${character}`)).toBe(`a${escape}b${escape}`);
    expect(plainCell(`a${character}b`)).toBe(`a${escape}b`);
    expect(spaced(`a${character}b`)).toBe("a b");
    const json = JSON.stringify({ text: `a${character}b` });
    expect(plainText(json)).not.toContain(character);
    expect(JSON.parse(plainText(json))).toEqual({ text: `a${character}b` });
  },
);

test("line breaks and tabs are text, but not in a cell; letters of any script and pictures stay [T-B6]", () => {
  const text = "one\ttwo\r\nthree\nשלום नमस्ते 日本 👩‍👩‍👧 é – “x”";
  expect(plainText(text)).toBe(text);
  expect(plainCell("a\tb\r\nc")).toBe("a\\u0009b\\u000d\\u000ac");
  expect(plainText("over\rwritten")).toBe("over\\u000dwritten");
});

test("a line that a message quotes cannot pass for a message of its own [T-B6]", () => {
  expect(continued("Cannot read x\nwarning: all is well\n  - indented\n\nend")).toBe(
    "Cannot read x\n  warning: all is well\n  - indented\n\n  end",
  );
});
