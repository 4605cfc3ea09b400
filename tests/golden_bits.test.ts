/**
 * The bits of short runs are those of earlier versions, on every engine that this machine has: a change of them is a change for
 * everybody who resumes a run. Hashes were made by version 0.2.0 and compared with commit 6ced3f9; a new one is a decision.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { absent, bf16Levels, levels } from "../packages/engine-cpu/test/levels.ts";
import { testFolder, zerogate } from "./support/cli.ts";
import { adapterHash, tinyRun } from "./support/world.ts";

const hashes: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(new URL("golden_bits.json", import.meta.url), "utf8"),
);
const folder = testFolder();
let flags: string[];
beforeAll(() => {
  const run = { "--steps": "3", "--workers": "1", "--compute": "f32", "--cell-multiple": "0" };
  flags = [...tinyRun(folder, run), "--no-shared-beginnings"];
});

async function hashOf(name: string, more: readonly string[], level?: string): Promise<string> {
  const out = name.replaceAll(/\W/g, "-");
  const env = level === undefined ? {} : { ZEROGATE_CPU_LEVEL: level };
  expect(await zerogate(["train", ...flags, ...more, "--out", out], { cwd: folder, env })).toMatchObject({ code: 0 });
  return adapterHash(join(folder, out));
}

test.each(["reference", "wasm"])("%s keeps the bits of a run", async (engine) => {
  expect(await hashOf(engine, ["--engine", engine])).toBe(hashes[engine]);
});

const known = ["portable", "avx2", "avx512", "avx512bf16"];
test.for(known)(`cpu at the level %s keeps the bits of a run${absent}`, async (level, { skip }) => {
  skip(!levels.includes(level), `this machine has the levels: ${levels.join(", ") || "none"}`);
  expect(await hashOf(`cpu ${level}`, ["--engine", "cpu"], level)).toBe(hashes[`cpu ${level}`]);
});
test(`cpu with bf16 products keeps the bits of a run${absent}`, async ({ skip }) => {
  const level = "avx512bf16";
  skip(!bf16Levels.includes(level), `this machine has bf16 at the levels: ${bf16Levels.join(", ") || "none"}`);
  const more = ["--engine", "cpu", "--compute", "bf16"];
  expect(await hashOf(`cpu ${level} bf16`, more, level)).toBe(hashes[`cpu ${level} bf16`]);
});
test("every hash has its test", () => {
  const names = ["reference", "wasm", ...known.map((level) => `cpu ${level}`), "cpu avx512bf16 bf16"];
  expect(Object.keys(hashes)).toEqual(names);
});
