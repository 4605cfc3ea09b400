/** A step whose numbers cannot be used is named, and stopped at, skipped or rolled back from. Further ways: bad_numbers.campaign.test.ts. */
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { zerogateHere } from "./support/here.ts";
import { bad, cwd, receiptText, resume, run, stepsOf, train } from "./support/poisoned_runs.ts";
import { adapterHash, stepLosses } from "./support/world.ts";

test("by default the run stops with a checkpoint before the step, and a resume stops there again", async () => {
  expect(readdirSync(join(run("stopped"), "checkpoints"))).toContain(`step-${bad - 1}`);
  expect(await resume("stopped")).toMatchObject({ code: 1, stdout: "" });
});

test("skip skips the step and records it, to the same bits for any number of workers and after a stop", async () => {
  const more = ["--on-bad-numbers", "skip"];
  expect(await train("skip-1", 1, more)).toMatchObject({ code: 0 });
  expect(await train("skip-3", 3, more)).toMatchObject({ code: 0 });
  expect(stepsOf("skip-1", "void")).toEqual([bad]);
  expect(stepLosses(run("skip-1")).map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].filter((s) => s !== bad));
  cpSync(run("stopped"), run("resumed"), { recursive: true });
  const resumed = await resume("resumed", more);
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).toMatch(/onBadNumbers was "stop", is "skip": allowed/);
  for (const out of ["skip-3", "resumed"]) {
    expect(adapterHash(run(out))).toBe(adapterHash(run("skip-1")));
    expect(receiptText(out)).toBe(receiptText("skip-1"));
  }
  const verified = await zerogateHere(["verify", "skip-1", "--replay", "1..8"], { cwd });
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.stdout).toMatch(new RegExp(`note {2}step ${bad} was skipped: cell \\d`));
});

test("rollback takes steps back and passes over them, which a replay confirms [T-E4, T-E7]", async () => {
  const more = ["--on-bad-numbers", "rollback", "--rollback-steps", "2"];
  expect(await train("back", 2, more)).toMatchObject({ code: 0 });
  expect(stepsOf("back", "void")).toEqual([bad - 2, bad - 1, bad]);
  expect(stepsOf("back", "step")).toEqual([1, 2, 3, 4, 5, 6, 7, 8].filter((s) => s < bad - 2 || s > bad));
  // It went on from the checkpoint two steps before, and from no other.
  expect(readdirSync(join(run("back"), "rewound", "1")).toSorted()).toEqual([`step-${bad - 2}`, `step-${bad - 1}`]);
  expect(adapterHash(run("back"))).not.toBe(adapterHash(run("skip-1")));
  expect(await zerogateHere(["verify", "back", "--replay", "1..8"], { cwd })).toMatchObject({ code: 0 });
});
