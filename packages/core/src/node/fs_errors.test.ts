import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isCode, kindOfEntry, reason } from "./fs_errors.ts";

const failed = (code: string) => Object.assign(new Error(`${code}: as Node says it, open 'x'`), { code });

test.each([
  ["ENOENT", "there is no such file or folder"],
  ["ENOTDIR", "a part of this path is a file, needed is a folder"],
  ["EACCES", "permission denied (EACCES)"],
  ["ELOOP", "it is a link that leads back to itself"],
  ["EISDIR", "it is a folder, needed is a file"],
  ["EPERM", "permission denied (EPERM)"],
  ["ENAMETOOLONG", "its name is longer than file systems allow"],
  ["EMFILE", "this process has as many files open as it may (EMFILE)"],
  ["ENFILE", "this machine has as many files open as it may (ENFILE)"],
  ["ENOSPC", "its disk is full (ENOSPC)"],
  ["EDQUOT", "its disk quota is used up (EDQUOT)"],
  ["EROFS", "its disk is read-only (EROFS)"],
  ["ENOTEMPTY", "it is a folder that is not empty"],
  ["EEXIST", "there is something of this name already"],
  ["EBUSY", "something else uses it (EBUSY)"],
  ["EIO", "its disk fails (EIO)"],
  ["ESTALE", "its network file system lost it (ESTALE): try again"],
])("%s is described in words", (code, words) => {
  expect(reason(failed(code))).toBe(words);
  expect(isCode(failed(code), code)).toBe(true);
  expect(isCode(failed(code), "EXDEV")).toBe(false);
  expect(reason(new Error(`${code}: between threads the field is lost`))).toBe(words);
});

test("an error without a description keeps its own message", () => {
  expect(reason(failed("EXDEV"))).toBe("EXDEV: as Node says it, open 'x'");
  expect(reason(new RangeError("offset 9 of 8"))).toBe("offset 9 of 8");
  expect(reason("a text")).toBe("a text");
  for (const thrown of ["a text", undefined, { code: "ENOENT" }]) expect(isCode(thrown, "ENOENT")).toBe(false);
});

test("a real failure is known by its code, and what lies at a path by its kind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-fs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "file"), "");
  const error: unknown = await readFile(join(folder, "none")).catch((cause: unknown) => cause);
  expect(reason(error)).toBe("there is no such file or folder");
  expect(kindOfEntry(statSync(folder))).toBe("a folder");
  expect(kindOfEntry(statSync(join(folder, "file")))).toBe("a regular file");
  expect(kindOfEntry(statSync("/dev/null"))).toBe("a device");
});
