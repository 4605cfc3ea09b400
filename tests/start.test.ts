/** What a start of the command loads: help must not wait for engines, workers and what trains. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { base } from "./support/world.ts";

const bin = fileURLToPath(new URL("../packages/zerogate/bin/zerogate.js", import.meta.url));
const folder = testFolder();

/** Runs `zerogate` and returns the modules that it loaded, as `core/dist/errors.js` or the name of another package. */
async function loadedBy(...args: string[]): Promise<{ stdout: string; modules: string[] }> {
  const coverage = mkdtempSync(join(folder, "loaded-"));
  const env = { ...process.env, NODE_V8_COVERAGE: coverage };
  const { stdout } = await promisify(execFile)(process.execPath, [bin, ...args], { env });
  const modules = readdirSync(coverage).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(join(coverage, name), "utf8")) as { result: { url: string }[] };
    return result.map(({ url }) => url).filter((url) => url.startsWith("file:"));
  });
  const own = /\/packages\/([a-z-]+\/dist\/.*)$/;
  const other = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/;
  return { stdout, modules: [...new Set(modules.map((url) => own.exec(url)?.[1] ?? other.exec(url)?.[1] ?? url))] };
}

test("--version loads the entry alone", async () => {
  const { stdout, modules } = await loadedBy("--version");
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(modules.filter((name) => !/^zerogate\/dist\/(bin|cli|version|terminal\/\w+)\.js$/.test(name))).toEqual([
    expect.stringMatching(/zerogate\/bin\/zerogate\.js$/),
  ]);
});

test("--help loads no engine, no worker, no trainer, and of core what is light", async () => {
  const { stdout, modules } = await loadedBy("--help");
  expect(stdout).toContain("Usage: zerogate");
  const packages = new Set(modules.map((name) => name.split("/")[0]));
  for (const name of ["workers", "trainer", "run-files", "data", "mpi", "zod", "yaml"]) {
    expect(packages, name).not.toContain(name);
  }
  expect([...packages].filter((name) => name?.startsWith("engine"))).toEqual([]);
  expect(modules).toContain("core/dist/light.js");
  expect(modules).not.toContain("core/dist/index.js");
});

test("help of a command knows the engines without loading one", async () => {
  const { stdout, modules } = await loadedBy("train", "--help");
  expect(stdout).toContain("tfjs:node-gpu");
  expect(modules.filter((name) => /^(engine-|workers|trainer)|^core\/dist\/index\.js$/.test(name))).toEqual([]);
  expect(modules).toContain("run-config/dist/keys.js");
});

test("a run of flags and JSON on the engine reference loads no other engine, and no reader of other files", async () => {
  const data = join(folder, "data.json");
  writeFileSync(data, JSON.stringify([{ instruction: "Add 1 and 2.", output: "3" }]));
  const paths = ["--model", base, "--data", data, "--out", join(folder, "run"), "--cache-dir", join(folder, "cache")];
  const flags = ["--engine", "reference", "--steps", "1", "--val-fraction", "0", "--dry-run"];
  const { modules } = await loadedBy("train", ...paths, ...flags);
  expect(modules).toContain("trainer/dist/run/inputs.js");
  const others = ["hyparquet", "hyparquet-compressors", "csv-parse", "zstddec", "yaml", "@tensorflow/tfjs-core"];
  const packages = new Set(modules.map((name) => name.split("/dist/")[0]));
  expect(others.filter((name) => packages.has(name))).toEqual([]);
  expect(modules.filter((name) => /^engine-(cuda|tfjs)\/dist\/(engine|runtime|ops\/.*)\.js$/.test(name))).toEqual([]);
});
