import { expect, test } from "vitest";
import { messageWithAdvice } from "./advice.ts";

test.each([
  "EMFILE: too many open files, open 'a.json'",
  "ENFILE: file table overflow, open 'a.json'",
  "libcuda.so.1: cannot open shared object file: Too many open files",
  "Cannot read a.json: this process has as many files open as it may (EMFILE)",
])("%s: the way to raise the limit is added [T-B11]", (message) => {
  expect(messageWithAdvice(new Error(message))).toBe(`${message}\nRaise the limit on open files: ulimit -n 4096`);
});

test("other messages stay as they are", () => {
  expect(messageWithAdvice(new Error("Cannot read EMFILES.json: there is no such file"))).toBe(
    "Cannot read EMFILES.json: there is no such file",
  );
});
