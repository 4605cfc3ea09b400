/** A sample that no worker survives stops the run with its text, and no step of the run is lost. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { adapterHash, records, tinyRun } from "../support/world.ts";

const folder = testFolder();
const cwd = folder;
/** More tokens than a cell of several samples may have. */
const long = "one two three four five six seven eight nine ten. ".repeat(12);
const [first, ...others] = records("train.json", 8);
writeFileSync(join(folder, "deadly.json"), JSON.stringify([first, ...others, { ...first, output: long }]));
const run = (changes: Record<string, string>) => tinyRun(folder, { "--max-length": "256", ...changes });
const receipt = (out: string) => readFileSync(join(folder, out, "receipt.jsonl"), "utf8");

/** Every worker that computes this many tokens at once dies. */
const deadly = (device: { longerThan: number } | { shorterThan: number }) => ({
  ZEROGATE_CHAOS: JSON.stringify({ device: { kind: "exit", ...device } }),
  NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
});

test.each([
  { what: "step", flag: "--data", of: /step (\d+): cell \d+ \(samples 8\)/, after: undefined },
  { what: "validation", flag: "--validation-data", of: /evaluation on validation: cell \d+ \(samples 8\)/, after: 3 },
])("a $what stops the run with the sample's text and a checkpoint; it goes on to the same bits", async (killer) => {
  const { what, flag, of, after } = killer;
  const flags = [...run({ [flag]: "deadly.json", "--eval-every": "3" }), "--no-eval-at-start"];
  const train = (out: string, env = {}) => zerogate(["train", ...flags, "--out", out, "--workers", "2"], { cwd, env });
  expect(await train(`quiet ${what}`)).toMatchObject({ code: 0 });
  const stopped = await train(what, deadly({ longerThan: 128 }));
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  const step = after ?? Number(of.exec(stopped.stderr)?.[1]);
  expect(stopped.stderr).toMatch(new RegExp(`Cannot finish ${of.source} ended two workers`));
  expect(stopped.stderr).toMatch(/last by: worker exited with code: 3, at .* cell \d+, embed \(operation \d+\)/);
  expect(stopped.stderr).toMatch(/- sample 8 \(record 8 of the data\): ".*one two three four.*…"/);
  expect(stopped.stderr).toContain(`The state after step ${step} is saved`);
  expect(readdirSync(join(folder, what, "checkpoints"))).toContain(`step-${step}`);
  expect(await zerogate(["resume", what], { cwd })).toMatchObject({ code: 0 });
  expect(adapterHash(join(folder, what))).toBe(adapterHash(join(folder, `quiet ${what}`)));
  expect(receipt(what)).toBe(receipt(`quiet ${what}`));
});

test("an answer to a sample stops a run that is trained with the sample's text; a resume answers it", async () => {
  const generation = [...run({ "--report-answers": "2" }), "--out", "answers"];
  const stopped = await zerogate(["train", ...generation], { cwd, env: deadly({ shorterThan: 2 }) });
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  expect(stopped.stderr).toMatch(/Cannot finish generation: prompt \d ended two workers/);
  expect(stopped.stderr).toMatch(/- sample \d \(record \d of the data\): ".* → .*"/);
  expect(stopped.stderr).toMatch(/The adapter is trained and saved as \S+answers\/adapter: a resume repeats only/);
  const trained = adapterHash(join(folder, "answers"));
  expect(await zerogate(["resume", "answers"], { cwd })).toMatchObject({ code: 0 });
  expect(adapterHash(join(folder, "answers"))).toBe(trained);
});

test("a state that the disk refuses is not said to be saved", async () => {
  const env = deadly({ longerThan: 128 });
  const stopped = await zerogate(["train", ...run({ "--data": "deadly.json" }), "--out", "unsaved"], {
    cwd,
    env,
    onLine(line) {
      if (/starting workers/.test(line)) writeFileSync(join(folder, "unsaved", "checkpoints"), "a file in its place");
    },
  });
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  expect(stopped.stderr).toMatch(/The state after step \d+ is not saved: there is something of this name already/);
  expect(stopped.stderr).not.toContain("is saved");
});
