/** A run that is killed at a named moment and resumed with other workers ends with the bits of one that was left alone. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { adapterHash, stepLosses, tinyRun, validationLosses } from "../support/world.ts";

const folder = testFolder();
const cwd = folder;
/** Two epochs of 8 steps, 8 cells each, with a validation in the middle of each epoch and at its end, but none of the base. */
const changes = { "--steps": "16", "--eval-every": "4", "--save-every": "2", "--cell-tokens": "1" };
const flags = [...tinyRun(folder, changes), "--no-eval-at-start"];
const outcome = (out: string) => ({
  adapter: adapterHash(join(folder, out)),
  steps: stepLosses(join(folder, out)),
  validations: validationLosses(join(folder, out)),
  receipt: readFileSync(join(folder, out, "receipt.jsonl"), "utf8"),
});
let whole: ReturnType<typeof outcome>;

beforeAll(async () => {
  expect(await zerogate(["train", ...flags, "--out", "whole", "--workers", "1"], { cwd })).toMatchObject({ code: 0 });
  whole = outcome("whole");
});

const point = (name: string, how: "before" | "after", at: number) => ({ point: { name, how, at } });
test.each([
  { when: "before a validation in the middle of an epoch", fault: point("evaluate", "before", 1), step: 4 },
  { when: "in the middle of a validation", fault: point("evaluate", "after", 1), step: 4 },
  { when: "in the middle of the validation at the end of an epoch", fault: point("evaluate", "after", 2), step: 8 },
  { when: "in the middle of an epoch, before a commit", fault: point("commit", "before", 6), step: 5 },
  { when: "after the last commit of an epoch", fault: point("commit", "after", 8), step: 7 },
  { when: "before the first commit of an epoch", fault: point("commit", "before", 9), step: 8 },
  { when: "after the last commit of the run", fault: point("commit", "after", 16), step: 15 },
  // The 20th pass: three of the eight cells of step 3 are added.
  { when: "while a step adds up its cells", fault: { device: { kind: "SIGKILL", device: 0, at: 20 } }, step: 2 },
])("a run that is killed $when resumes to the same bits", async ({ when, fault, step }) => {
  const out = when.replaceAll(" ", "-");
  const note = join(folder, `${out}.note`);
  const env = {
    ZEROGATE_CHAOS: JSON.stringify({ root: join(folder, out), note, ...fault }),
    NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
  };
  const killed = await zerogate(["train", ...flags, "--out", out, "--workers", "1", "--json"], { cwd, env });
  expect(killed.code).toBe(null);
  expect(existsSync(note)).toBe("point" in fault);
  const steps = killed.json.filter(({ event }) => event === "step").length;
  expect(steps).toBe(step);
  expect(await zerogate(["resume", out, "--workers", "2"], { cwd })).toMatchObject({ code: 0 });
  expect(outcome(out)).toEqual(whole);
});
