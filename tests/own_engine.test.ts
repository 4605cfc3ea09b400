/** An engine of your own, by the path of its module: the example of docs/engines.md, and modules that are not engines. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = testFolder();
const run = (...args: string[]) => zerogateHere(args, { cwd: root, env: { XDG_CACHE_HOME: join(folder, "cache") } });
const data = join(folder, "data.json");
const base = ["--model", "packages/trainer/world/base", "--data", data, "--val-fraction", "0", "--max-length", "64"];
const short = [...base, "--adapter-layers", "2", "--batch-size", "4", "--steps", "2", "--warmup-steps", "0", "--json"];

beforeAll(async () => {
  const all = JSON.parse(await readFile(join(root, "packages/trainer/world/train.json"), "utf8"));
  await writeFile(data, JSON.stringify(all.slice(0, 8)));
});

test("a run on a module trains, stores its path and name, and its replay has the same bits", async () => {
  const out = join(folder, "run");
  const trained = await run(
    "train",
    ...short,
    "--engine",
    "examples/engine/engine.mjs",
    "--workers",
    "2",
    "--out",
    out,
  );
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
  const stored = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
  expect(stored.engine).toBe(join(root, "examples/engine/engine.mjs"));
  expect(await readFile(join(out, "receipt.jsonl"), "utf8")).toContain('"engine":"example"');
  const replayed = await run("verify", out, "--replay", "1..2", "--json");
  expect(replayed, replayed.stderr + replayed.stdout).toMatchObject({ code: 0 });
});

test.each([
  ["there is none", undefined, "it could not be imported: Cannot find module"],
  ["it throws", "throw new Error('no card');", "it could not be imported: no card"],
  [
    "it has no description",
    "export const createEngine = () => {};",
    "it must export createEngine(options, device) and a description",
  ],
  [
    "it has no engine",
    "export const description = { names: ['x'], devices() {}, traits() {}, setup() {} };",
    "it must export",
  ],
])("a module is refused if %s, before anything is written", async (title, text, says) => {
  const place = join(folder, title.replaceAll(" ", "-"));
  await mkdir(place);
  if (text !== undefined) await writeFile(join(place, "engine.mjs"), text);
  const outcome = await run("train", ...short, "--engine", join(place, "engine.mjs"), "--out", join(place, "run"));
  expect(outcome).toMatchObject({ code: 2 });
  expect(outcome.stderr).toContain(`Cannot use the engine ${join(place, "engine.mjs")}: ${says}`);
});

test("what its description rules out is refused with what would do", async () => {
  const outcome = await run(
    "train",
    ...short,
    "--engine",
    "examples/engine/engine.mjs",
    "--compute",
    "bf16",
    "--out",
    join(folder, "no"),
  );
  expect(outcome).toMatchObject({ code: 2 });
  expect(outcome.stderr).toContain("the engine example has f32 only: use --compute f32");
});
