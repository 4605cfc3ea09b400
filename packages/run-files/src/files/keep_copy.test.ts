import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepCopy } from "./keep_copy.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-copy-"));
  path = join(folder, "metrics.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("each copy gets a name of its own, and none replaces an earlier one", () => {
  const made = ["first", "second", "third"].map((text) => {
    writeFileSync(path, text);
    return keepCopy(path);
  });
  expect(made).toEqual([`${path}.corrupt`, `${path}.corrupt-2`, `${path}.corrupt-3`]);
  expect(made.map((copy) => readFileSync(copy, "utf8"))).toEqual(["first", "second", "third"]);
  expect(readFileSync(path, "utf8")).toBe("third");
});

test("nothing is written through a dead link in the copy's place", () => {
  writeFileSync(path, "damaged");
  symlinkSync(join(folder, "elsewhere"), `${path}.corrupt`);
  expect(() => keepCopy(path)).toThrow("EEXIST");
  expect(readdirSync(folder)).toEqual(["metrics.jsonl", "metrics.jsonl.corrupt"]);
});
