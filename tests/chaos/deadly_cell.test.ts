/** A sample that no worker survives stops the run with its text, and nothing of the run is lost. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { type AlpacaRecord, adapterHash, tinyRun } from "../support/world.ts";

const folder = testFolder();
const cwd = folder;
const flags = tinyRun(folder, { "--max-length": "256", "--steps": "12" });
const records = JSON.parse(readFileSync(join(folder, "data.json"), "utf8")) as AlpacaRecord[];
const long = "one two three four five six seven eight nine ten. ".repeat(12);
writeFileSync(join(folder, "data.json"), JSON.stringify([...records, { ...records[0], output: long }]));

/** Every worker that computes more tokens at once than a cell of several samples may have dies. */
const env = {
  ZEROGATE_CHAOS: JSON.stringify({ device: { kind: "exit", longerThan: 128 } }),
  NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
};

test("the run stops with the sample's text and a checkpoint, and goes on from there to the same bits", async () => {
  expect(await zerogate(["train", ...flags, "--out", "quiet"], { cwd })).toMatchObject({ code: 0 });
  const stopped = await zerogate(["train", ...flags, "--out", "run", "--workers", "2"], { cwd, env });
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  const step = Number(/Cannot finish step (\d+): cell \d+ \(samples 64\) ended two workers/.exec(stopped.stderr)?.[1]);
  expect(stopped.stderr).toMatch(/last by: worker exited with code: 3, at step \d+ cell \d+, embed \(operation \d+\)/);
  expect(stopped.stderr).toMatch(/- sample 64 \(record 64 of the data\): ".*one two three four.*…"/);
  expect(stopped.stderr).toContain("The state before this step is saved");
  expect(readdirSync(join(folder, "run", "checkpoints"))).toContain(`step-${step}`);
  expect(await zerogate(["resume", "run"], { cwd })).toMatchObject({ code: 0 });
  expect(adapterHash(join(folder, "run"))).toBe(adapterHash(join(folder, "quiet")));
});
