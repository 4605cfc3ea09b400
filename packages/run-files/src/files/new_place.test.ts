import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { placeProblem } from "./new_place.ts";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-place-"));
  mkdirSync(at("there"));
  writeFileSync(at("file"), "");
  symlinkSync("file", at("to-file"));
  symlinkSync("there", at("to-folder"));
  symlinkSync("nowhere", at("dead"));
  symlinkSync("circle", at("circle"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([["there"], ["there/new"], ["there/a/b/c"], ["to-folder"], ["to-folder/a/b"]])(
  "nothing stands in the way of %s",
  async (name) => {
    expect(await placeProblem(at(name))).toBeUndefined();
    expect(await placeProblem(relative(process.cwd(), at(name)))).toBeUndefined();
  },
);

test.each([
  ["file", "file", " is a file"],
  ["file/a/b", "file", " is a file"],
  ["to-file", "to-file", ", a link to file, is a file"],
  ["to-file/a", "to-file", ", a link to file, is a file"],
  ["dead", "dead", ", a link to nowhere, leads nowhere"],
  ["dead/a", "dead", ", a link to nowhere, leads nowhere"],
  ["circle/a/b", "circle", ", a link to circle, leads nowhere"],
])("of %s it is said what stands in the way, and that it is a link", async (name, what, says) => {
  expect(await placeProblem(at(name))).toBe(`${at(what)}${says}`);
});

test("a name that the system cannot look at is not taken for a missing one", async () => {
  const long = at("n".repeat(300));
  expect(await placeProblem(long)).toBe(`${long} cannot be looked at (ENAMETOOLONG)`);
});

test("a link to a name that the system cannot look at is refused with the system's reason", async () => {
  symlinkSync("n".repeat(300), at("to-long"));
  expect(await placeProblem(at("to-long"))).toMatch(
    /to-long, a link to n+, cannot be written to: its name is longer than file systems allow$/,
  );
});

const isRoot = process.getuid?.() === 0;
test.skipIf(isRoot || process.platform === "win32")(
  "a folder that this user may not write to is refused (skipped: root may, and Windows has no such modes)",
  async () => {
    for (const mode of [0o555, 0o666]) {
      chmodSync(at("there"), mode);
      expect(await placeProblem(at("there"))).toBe(`${at("there")} may not be written to by this user`);
    }
    chmodSync(at("there"), 0o755);
  },
);
