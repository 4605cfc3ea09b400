/** What a resume does where checkpoints, data or settings are no longer as they were. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const cwd = folder;
let whole: string;

beforeAll(async () => {
  const keep = ["--save-every", "2", "--eval-every", "6"];
  expect(await zerogateHere(["train", ...flags, ...keep, "--out", "whole"], { cwd })).toMatchObject({ code: 0 });
  whole = adapterHash(join(folder, "whole"));
  expect(readdirSync(join(folder, "whole", "checkpoints")).toSorted()).toEqual(["step-2", "step-4", "step-6"]);
});

/** A copy of the finished run, without its adapter. */
function copyRun(name: string): string {
  const run = join(folder, name);
  cpSync(join(folder, "whole"), run, {
    recursive: true,
    filter: (path) => !path.startsWith(join(folder, "whole", "adapter")),
  });
  return run;
}

const checkpoints = (run: string) => readdirSync(join(run, "checkpoints")).toSorted();
const cutOff = (run: string, step: number, file: string) =>
  truncateSync(join(run, "checkpoints", `step-${step}`, file), 100);

test.each(["optimizer.safetensors", "adapter_model.safetensors", "state.msgpack", "manifest.json"])(
  "a checkpoint whose %s is cut off is set aside, and the one before it gives the same bits",
  async (file) => {
    const run = copyRun(`cut-${file}`);
    cutOff(run, 6, file);
    const resumed = await zerogateHere(["resume", run, "--json"], { cwd });
    expect(resumed).toMatchObject({ code: 0 });
    expect(resumed.stderr).toMatch(/warning: Cannot use the checkpoint \S+step-6: .*It is kept as \S+step-6\.corrupt/);
    expect(resumed.json.map(({ step }) => step)).toEqual([5, 6, undefined]);
    expect(checkpoints(run)).toEqual(["step-2", "step-4", "step-6", "step-6.corrupt"]);
    expect(adapterHash(run)).toBe(whole);
    expect(stepLosses(run)).toEqual(stepLosses(join(folder, "whole")));
  },
);

test("checkpoints that are all broken end the resume, and each is still there to look at", async () => {
  const run = copyRun("all-broken");
  for (const step of [2, 4, 6]) cutOff(run, step, "optimizer.safetensors");
  const resumed = await zerogateHere(["resume", run], { cwd });
  expect(resumed).toMatchObject({ code: 3, stdout: "" });
  expect(resumed.stderr).toContain(`Cannot resume ${run}: none of its 3 checkpoints is whole`);
  expect(checkpoints(run)).toEqual(["step-2.corrupt", "step-4.corrupt", "step-6.corrupt"]);
});

test("what a crashed save left behind is cleared away", async () => {
  const run = copyRun("leftover");
  cpSync(join(run, "checkpoints", "step-2"), join(run, "checkpoints", ".step-8.abcdef.tmp"), { recursive: true });
  writeFileSync(join(run, "metrics.jsonl"), `${readFileSync(join(run, "metrics.jsonl"), "utf8")}{"step":7,"lo`);
  expect(await zerogateHere(["resume", run], { cwd })).toMatchObject({ code: 0 });
  expect(checkpoints(run)).toEqual(["step-2", "step-4", "step-6"]);
  expect(adapterHash(run)).toBe(whole);
  expect(stepLosses(run)).toEqual(stepLosses(join(folder, "whole")));
});

/** Each refusal leaves the run as it was. */
const changes: { what: string; change: (run: string) => string[]; says: RegExp }[] = [
  {
    what: "other data",
    change() {
      const records = JSON.parse(readFileSync(join(folder, "data.json"), "utf8")) as { output: string }[];
      writeFileSync(join(folder, "other.json"), JSON.stringify([...records.slice(1), { ...records[0], output: "no" }]));
      return ["--data", "other.json"];
    },
    says: /the data, its tokens or what is held out changed/,
  },
  {
    what: "a base whose weights changed",
    change(run) {
      const { model } = JSON.parse(readFileSync(join(run, "config.json"), "utf8")) as { model: string };
      const other = join(folder, "other-base");
      cpSync(model, other, { recursive: true });
      const weights = readFileSync(join(other, "model.safetensors"));
      weights.writeUInt8(weights.readUInt8(weights.length - 2) ^ 1, weights.length - 2);
      writeFileSync(join(other, "model.safetensors"), weights);
      return ["--model", other];
    },
    says: /the base model's files changed/,
  },
  {
    what: "another learning rate",
    change: edit({ lr: 0.1 }),
    says: /lr was \S+, is 0.1: it decides the trained bits/,
  },
  {
    what: "another prompt length",
    change: edit({ adapterLen: 3 }),
    says: /adapterLen was \d+, is 3: it decides the trained bits/,
  },
  {
    what: "another storage of the base",
    change: () => ["--storage", "int8"],
    says: /storage was "as-is", is "int8": it decides the trained bits/,
  },
  {
    what: "a key that does not exist",
    change: edit({ batchsize: 3 }),
    says: /unknown key "batchsize": did you mean "batchSize"\?/,
  },
];

function edit(values: Readonly<Record<string, unknown>>) {
  return (run: string): string[] => {
    const path = join(run, "config.json");
    const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...config, ...values }));
    return [];
  };
}

test.each(changes)("$what is refused by name", async ({ what, change, says }) => {
  const run = copyRun(what);
  const refused = await zerogateHere(["resume", run, ...change(run)], { cwd });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(says);
  expect(checkpoints(run)).toEqual(["step-2", "step-4", "step-6"]);
});

test("a resume on another engine is refused and costs no line of the metrics", async () => {
  const run = copyRun("other engine");
  for (const step of [4, 6]) rmSync(join(run, "checkpoints", `step-${step}`), { recursive: true });
  const before = readFileSync(join(run, "metrics.jsonl"), "utf8");
  edit({ engine: "reference" })(run);
  const refused = await zerogateHere(["resume", run], { cwd });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/engine was \S+, is reference: its numbers would no longer be those of one engine/);
  expect(readFileSync(join(run, "metrics.jsonl"), "utf8")).toBe(before);
});

test("metrics that cannot be written end the run with an error, and no worker keeps it alive", async () => {
  const run = copyRun("no metrics");
  rmSync(join(run, "metrics.jsonl"));
  mkdirSync(join(run, "metrics.jsonl"));
  const failed = await zerogateHere(["resume", run], { cwd });
  expect(failed).toMatchObject({ code: 2, stdout: "" });
  expect(failed.stderr).toContain("metrics.jsonl: it is a folder, needed is a regular file");
});
