/** One run under many cycles of kill, stop, resume and resize, devices failing meanwhile: its bits are those of a quiet one. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { adapterHash, stepLosses, tinyRun, validationLosses } from "../support/world.ts";
import { runChaos, stepsFor } from "./driver.ts";

/** scripts/chaos.mjs sets these for longer runs. */
const cycles = Number(process.env["ZEROGATE_CHAOS_CYCLES"] ?? 20);
const seed = Number(process.env["ZEROGATE_CHAOS_SEED"] ?? 1);

const folder = testFolder();
const changes = { "--steps": String(stepsFor(cycles)), "--save-every": "2", "--eval-every": "5", "--batch-size": "4" };
const outcome = (out: string) => {
  const run = join(folder, out);
  const receipt = readFileSync(join(run, "receipt.jsonl"), "utf8");
  return { adapter: adapterHash(run), steps: stepLosses(run), validations: validationLosses(run), receipt };
};

test(`${cycles} cycles of seed ${seed} end with the adapter of an undisturbed run of one worker`, {
  timeout: 3_600_000,
}, async () => {
  const flags = tinyRun(folder, changes);
  expect(await zerogate(["train", ...flags, "--out", "quiet", "--workers", "1"], { cwd: folder })).toMatchObject({
    code: 0,
  });
  const struck = await runChaos({ seed, cycles, folder, flags });
  expect(outcome("run")).toEqual(outcome("quiet"));
  // Most faults find what they are looking for.
  const strikes = Object.values(struck).reduce((sum, count) => sum + count, 0);
  expect(strikes).toBeGreaterThan(cycles);
  const report = process.env["ZEROGATE_CHAOS_REPORT"];
  if (report) writeFileSync(report, JSON.stringify({ seed, cycles, adapter: outcome("run").adapter, struck }, null, 2));
});
