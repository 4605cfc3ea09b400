import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openAppendFile } from "./append_file.ts";
import { createTrouble } from "./trouble.ts";

let folder: string;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-append-"));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => join(folder, "sub", "lines");
const text = () => readFileSync(path(), "utf8");
const open = (bytes?: number) =>
  openAppendFile(
    path(),
    createTrouble("lines", (message) => said.push(message)),
    bytes,
  );

test("pieces are in the file when the call returns, after what is kept of an older one", () => {
  mkdirSync(join(folder, "sub"));
  writeFileSync(path(), "one\ntwo\nhal");
  const file = open(8);
  file.write("three\n");
  expect(text()).toBe("one\ntwo\nthree\n");
  file.write(Buffer.from("four\n"));
  expect(text()).toBe("one\ntwo\nthree\nfour\n");
  file.close();
});

test("refused lines are kept in order and written later; it is reported once, and again when it is over", () => {
  const file = open();
  file.write("one\n");
  // The folder goes away and a file stands in its place: nothing can be written there.
  renameSync(join(folder, "sub"), join(folder, "elsewhere"));
  rmSync(join(folder, "elsewhere"), { recursive: true });
  writeFileSync(join(folder, "sub"), "in the way");
  for (const piece of ["two\n", "three\n", "four\n"]) file.write(piece);
  expect(file.flush()).toBe(false);
  rmSync(join(folder, "sub"));
  file.write("five\n");
  expect(text()).toBe("one\ntwo\nthree\nfour\nfive\n");
  expect(file.flush()).toBe(true);
  expect(said).toHaveLength(2);
  expect(said[0]).toMatch(/^lines cannot be written: .*\. Training goes on, it is tried again$/);
  expect(said[1]).toBe("lines is written again, nothing of it is lost");
  file.close();
});

test("what the disk refused is tried once more when the file is closed", () => {
  const file = open();
  rmSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(folder, "sub"), "in the way");
  file.write("one\n");
  rmSync(join(folder, "sub"));
  file.close();
  expect(text()).toBe("one\n");
});

test("a disk that refuses for very long costs the oldest pieces, which are counted once", () => {
  const block = () => {
    rmSync(join(folder, "sub"), { recursive: true, force: true });
    writeFileSync(join(folder, "sub"), "in the way");
  };
  const file = open();
  const large = (letter: string) => Buffer.alloc(12 * 2 ** 20, letter);
  block();
  for (const letter of ["a", "b", "c", "d"]) file.write(large(letter));
  rmSync(join(folder, "sub"));
  file.flush();
  const kept = text();
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([24 * 2 ** 20, "c", "d"]);
  block();
  for (const piece of ["e", "f"]) file.write(piece);
  rmSync(join(folder, "sub"));
  file.close();
  expect(said.filter((line) => line.includes("written again"))).toEqual([
    "lines is written again, but 2 lines of it are lost",
    "lines is written again, nothing of it is lost",
  ]);
});

test.each([
  ["pieces of 32 MiB together are kept", [16, 16], ["a", "b"]],
  ["of a mebibyte more the oldest goes", [17, 16], ["b"]],
  ["one that is larger by itself is kept", [1, 33], ["b"]],
])("while the disk refuses, %s", (_, sizes, kept) => {
  const file = open();
  rmSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(folder, "sub"), "in the way");
  for (const [i, size] of sizes.entries()) file.write(Buffer.alloc(size * 2 ** 20, "ab"[i]));
  rmSync(join(folder, "sub"));
  file.close();
  expect([...new Set(text())]).toEqual(kept);
});

test("a file that was removed is written again by the next flush, and counts no more as kept", () => {
  const file = open();
  file.write(Buffer.alloc(10 * 2 ** 20, "a"));
  rmSync(path());
  expect(file.flush()).toBe(true);
  expect(text()).toHaveLength(10 * 2 ** 20);
  rmSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(folder, "sub"), "in the way");
  for (const letter of ["b", "c", "d"]) file.write(Buffer.alloc(12 * 2 ** 20, letter));
  rmSync(join(folder, "sub"));
  file.close();
  expect([...new Set(text())]).toEqual(["c", "d"]);
});

test("a piece that another hand wrote in part is cut off when the file is opened again", () => {
  const file = open();
  file.write("one\n");
  renameSync(path(), `${path()}.full`);
  writeFileSync(path(), readFileSync(`${path()}.full`));
  rmSync(`${path()}.full`); // the open file has no name any more
  appendFileSync(path(), "tw");
  file.write("two\n");
  expect(text()).toBe("one\ntwo\n");
  file.close();
});
