/** Runs whose last layer computes labelled tokens alone: the bits of runs that compute all, where rows do not depend on each other. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { folder, outcome, train } from "./support/disturbed_runs.ts";
import { zerogateHere } from "./support/here.ts";

const cut = ["--cell-multiple", "2"];
const short = ["--batch-size", "4", "--val-fraction", "0", "--report-answers", "0", "--no-eval-at-start"];

test("any number of workers has the bits of a run that computes all tokens, and resume refuses the other", async () => {
  const all = await train("all", 1, [...cut, "--no-skip-unlabelled"]);
  expect(all, all.stderr).toMatchObject({ code: 0 });
  for (const workers of [1, 3]) {
    expect(await train(`some-${workers}`, workers, [...cut, "--skip-unlabelled"])).toMatchObject({ code: 0 });
    expect(outcome(`some-${workers}`)).toEqual(outcome("all"));
  }
  const other = await zerogateHere(["resume", "all", "--skip-unlabelled"], { cwd: folder });
  expect(other).toMatchObject({ code: 2 });
  expect(other.stderr).toContain("skipUnlabelled");
});

test("threads and processes are asked for it, by default too: an engine that sees how many rows there are has other bits", async () => {
  const url = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, "..", path)).href);
  const text = `import { description as example } from ${url("examples/engine/engine.mjs")};
import { createWasmEngine } from ${url("packages/engine-cpu/dist/index.js")};
export async function createEngine() {
  const engine = await createWasmEngine();
  const swiglu = (gateUp, { T, F }) => {
    const factors = engine.upload(new Float32Array(T).fill(1 + T / 1e4));
    return engine.scaleRows(engine.swiglu(gateUp, { T, F }), factors, { T, D: F });
  };
  return { ...engine, name: "counting", swiglu };
}
export const description = { ...example, names: ["counting"] };
`;
  writeFileSync(join(folder, "counting.mjs"), text);
  const own = [...cut, "--engine", "./counting.mjs", "--no-shared-beginnings", "--steps", "2", ...short];
  const runs = { all: ["--no-skip-unlabelled"], some: [], named: ["--skip-unlabelled"], apart: ["--isolate"] };
  for (const [name, more] of Object.entries(runs)) {
    const done = await train(`counted-${name}`, 2, [...own, ...more]);
    expect(done, done.stderr).toMatchObject({ code: 0 });
  }
  const { adapter } = outcome("counted-some");
  expect(outcome("counted-all").adapter).not.toBe(adapter);
  expect(outcome("counted-named").adapter).toBe(adapter);
  expect(outcome("counted-apart").adapter).toBe(adapter);
});
