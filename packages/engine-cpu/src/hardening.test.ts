/** How the binary was compiled and linked: a fault in it must end the process, never give it to an attacker. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { probe } from "./index.ts";

const { path } = probe();
const readelf = (...args: string[]) => spawnSync("readelf", ["-W", ...args, path ?? ""], { encoding: "utf8" }).stdout;
const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };

const absent =
  process.platform !== "linux"
    ? " (skipped: its binaries are no ELF files here)"
    : path === undefined
      ? " (skipped: there is no binary)"
      : spawnSync("readelf", ["--version"]).status !== 0
        ? " (skipped: readelf is not installed)"
        : "";

test.skipIf(absent !== "")(`stacks are guarded, and no table or stack can be made code${absent} [T-B13]`, () => {
  expect(readelf("--dyn-syms")).toMatch(/UND __stack_chk_fail\b/);
  expect(readelf("--dynamic")).toMatch(/\(FLAGS\) +.*\bBIND_NOW\b/);
  const segments = readelf("--program-headers").split("\n");
  expect(segments.filter((line) => line.includes("GNU_RELRO"))).toHaveLength(1);
  expect(segments.find((line) => line.includes("GNU_STACK"))).toMatch(/ RW /);
  expect(segments.filter((line) => / RWE /.test(line))).toEqual([]);
});

const noFortify = absent || (header.glibcVersionRuntime === undefined ? " (skipped: this C library has none)" : "");

test.skipIf(noFortify !== "")(`copies are checked against the size of their target${noFortify} [T-B13]`, () => {
  expect(readelf("--dyn-syms")).toMatch(/UND __memcpy_chk\b/);
});
