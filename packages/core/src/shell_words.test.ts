import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellQuoted } from "./shell_words.ts";

test.each([
  "plain",
  "two words",
  "it's",
  'say "a"',
  "$HOME",
  "a;b",
  "`b`",
  "a\nb",
  "\u001b[31m",
  "ä\u007f'\\",
  "*",
  "~",
  "",
])("the shell gives %j back as it was [T-D4]", (text) => {
  expect(execFileSync("bash", ["-c", `printf %s ${shellQuoted(text)}`], { encoding: "utf8" })).toBe(text);
});

test("a folder whose name begins with a dash is no flag [T-D4]", () => {
  expect(shellQuoted("-run")).toBe("./-run");
  expect(shellQuoted("--my run")).toBe("'./--my run'");
});
