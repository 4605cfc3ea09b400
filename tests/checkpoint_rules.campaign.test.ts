/** When checkpoints are made and which of them stay, in real runs, even if the clock jumps meanwhile. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { adapterHash, tinyRun, validationLosses } from "./support/world.ts";

const folder = testFolder();
const run = (out: string) => join(folder, out);
const train = async (out: string, changes: Readonly<Record<string, string>>, chaos: object = {}) => {
  const env = {
    ZEROGATE_CHAOS: JSON.stringify(chaos),
    NODE_OPTIONS: `--import ${new URL("chaos/preload.mjs", import.meta.url).href}`,
  };
  const flags = tinyRun(folder, { "--steps": "12", "--keep-checkpoints": "99", ...changes });
  expect(await zerogate(["train", ...flags, "--out", out], { cwd: folder, env })).toMatchObject({ code: 0 });
};
const checkpoints = (out: string) =>
  readdirSync(join(run(out), "checkpoints"))
    .map((name) => Number(/^step-(\d+)$/.exec(name)?.[1]))
    .toSorted((a, b) => a - b);

test("saveMinutes saves after that time, and no jump of the clock makes or prevents a checkpoint", async () => {
  const dawdling = { jumps: true, engine: { delaySeed: 1 } };
  const never = { "--save-every": "1000", "--eval-every": "1000" };
  await train("often", { ...never, "--save-minutes": "0.00001" }, dawdling);
  expect(checkpoints("often")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  await train("seldom", { ...never, "--save-minutes": "60" }, dawdling);
  expect(checkpoints("seldom")).toEqual([12]);
  expect(adapterHash(run("often"))).toBe(adapterHash(run("seldom")));
});

test("the newest, the multiples of keepEvery and the best stay, all others go", async () => {
  const keep = {
    "--save-every": "1",
    "--keep-checkpoints": "2",
    "--keep-every": "5",
    "--eval-every": "1",
    "--lr": "0.05",
  };
  await train("kept", keep);
  const validations = validationLosses(run("kept")).filter(([step]) => step > 0);
  const [best] = validations.toSorted(([, a], [, b]) => a - b)[0] ?? [0];
  expect(checkpoints("kept")).toEqual([...new Set([best, 5, 10, 11, 12])].toSorted((a, b) => a - b));
});
