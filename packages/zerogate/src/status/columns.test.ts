import { expect, test } from "vitest";
import { sideBySide } from "./columns.ts";
import { visibleWidth } from "./fit.ts";

const lines = (text: string) => text.split("\n");

test("texts stand side by side under their titles, broken between words", () => {
  const columns = [
    { title: "base", text: "one two three four five six" },
    { title: "a long name of an adapter", text: "short\n\nand more" },
  ];
  expect(lines(sideBySide("What is this?\nAn input", columns, 44))).toEqual([
    "> What is this?",
    "> An input",
    "",
    "base ────────────────  a long name of an … ─",
    "one two three four     short",
    "five six",
    "                       and more",
  ]);
});

test("if columns would be too narrow, the texts stand one below the other", () => {
  const columns = ["base", "a", "b"].map((title) => ({ title, text: `text of ${title}` }));
  expect(lines(sideBySide("?", columns, 30))).toEqual([
    "> ?",
    "",
    "base ─────────────────────────",
    "text of base",
    "",
    "a ────────────────────────────",
    "text of a",
    "",
    "b ────────────────────────────",
    "text of b",
  ]);
});

test.each([1, 2, 7, 20, 41, 80, 300])("no line is wider than %i columns", (width) => {
  const text = `${"word ".repeat(30)}${"x".repeat(200)} 日本語のテキスト ${"🎉".repeat(40)}\u001b[31mred\u0007`;
  const columns = [
    { title: "日本語日本語日本語日本語", text },
    { title: "b".repeat(100), text: "" },
  ];
  const shown = lines(sideBySide(text, columns, width));
  const widest = Math.max(...shown.map(visibleWidth));
  expect(widest).toBeLessThanOrEqual(Math.max(width, 4)); // a mark, and one character of two columns
  expect(shown.join("")).not.toMatch(/\p{Cc}/u);
});
