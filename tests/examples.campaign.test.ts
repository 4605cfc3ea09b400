/** The examples run as their README says, on the built packages; only shorter, and into a folder of the test. */
import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type Outcome, zerogate as runZerogate, testFolder } from "./support/cli.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const base = "packages/trainer/world/base";
const folder = testFolder();

/** The command at the root of the repository. */
async function zerogate(...args: string[]): Promise<Outcome["json"]> {
  const outcome = await runZerogate(args, {
    cwd: root,
    env: { XDG_CACHE_HOME: join(folder, "cache") },
  });
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  return outcome.json;
}

test("tiny.yaml trains, goes on from an older checkpoint to the same bytes, and its adapter answers in compare.mjs", async () => {
  const run = join(folder, "tiny");
  const fewHeldOut = join(folder, "few.json");
  const heldOut = JSON.parse(await readFile(join(root, "packages/trainer/world/heldout.json"), "utf8"));
  await writeFile(fewHeldOut, JSON.stringify(heldOut.slice(0, 8)));
  const short = ["--steps", "4", "--save-every", "2", "--validation-data", fewHeldOut];
  const trained = await zerogate("train", "--config", "examples/tiny.yaml", "--out", run, ...short, "--json");
  expect(trained.at(-1)).toMatchObject({ event: "done", ending: "finished", steps: 4 });

  const bytes = () => Promise.all(trainedFiles.map((file) => readFile(join(run, file))));
  const before = await bytes();
  await rm(join(run, "checkpoints/step-4"), { recursive: true });
  await rm(join(run, "adapter"), { recursive: true });
  const resumed = await zerogate("resume", run, "--workers", "1", "--json");
  expect(resumed.map(({ event, step }) => step ?? event)).toEqual([3, 4, "done"]);
  for (const [i, after] of (await bytes()).entries()) expect(before[i]?.equals(after), trainedFiles[i]).toBe(true);

  const adapter = join(run, "adapter");
  const compare = ["examples/compare.mjs", base, adapter, "What is 1 + 1?", ""];
  const { stdout: printed } = await promisify(execFile)(process.execPath, compare, { cwd: root });
  const asked = ["--instruction", "What is 1 + 1?", "--max-new-tokens", "24"];
  const model = ["--model", base, "--adapter", adapter, "--engine", "reference"];
  const [answer] = await zerogate("generate", ...model, ...asked, "--json");
  expect(printed).toMatch(/^What is 1 \+ 1\?\nbase: /);
  expect(printed.endsWith(`\nadapter: ${String(answer?.["text"])}\n`), printed).toBe(true);
});

const trainedFiles = ["adapter/adapter_model.safetensors", "checkpoints/step-4/optimizer.safetensors"];

test("cards/run.yaml trains on its own records and template", async () => {
  const run = join(folder, "cards");
  const short = ["--out", run, "--epochs", "2"];
  const trained = await zerogate("train", "--config", "examples/cards/run.yaml", ...short, "--json");
  expect(trained.at(-1)).toMatchObject({ event: "done", steps: 4, validation: [] });
  const model = ["--model", base, "--adapter", join(run, "adapter")];
  const data = ["--data", "examples/cards/cards.jsonl", "--template", "examples/cards/template.json"];
  expect(await zerogate("eval", ...model, ...data, "--json")).toMatchObject([{ samples: 20 }]);
});
