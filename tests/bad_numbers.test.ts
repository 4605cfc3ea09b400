/** A step whose numbers cannot be used is named, and stopped at, skipped or rolled back from, to the same bits in any case. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@zerogate/data";
import { beforeAll, expect, test } from "vitest";
import { type Call, testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { withPoisonedToken, withUnexpectedToken } from "./support/hostile_model.ts";
import { adapterHash, base, records, stepLosses, tinyRun } from "./support/world.ts";

const folder = testFolder();
const cwd = folder;
const run = (out: string) => join(folder, out);
/** One of the 64 records says something that no other says. Its step is far enough from the first to go back to another one. */
const POISON = "zzqj";
const RECORD = 58;
const flags = tinyRun(folder, { "--model": "poisoned", "--val-fraction": "0", "--save-every": "1", "--steps": "8" });
const words = (out: string, workers: number, more: string[]) => [
  "train",
  ...flags,
  "--out",
  out,
  "--workers",
  String(workers),
  "--json",
  ...more,
];
const train = (out: string, workers: number, more: string[] = []) => zerogateHere(words(out, workers, more), { cwd });
const resume = (out: string, more: string[] = []) => zerogateHere(["resume", out, "--json", ...more], { cwd });

type Line = Readonly<Record<string, unknown>>;
const receiptText = (out: string) => readFileSync(join(run(out), "receipt.jsonl"), "utf8");
const receipt = (out: string) =>
  receiptText(out)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
const stepsOf = (out: string, event: string) =>
  receipt(out).flatMap((line) => (line["event"] === event ? [line["step"] as number] : []));

/** The plan's only bad step, counted from 1. */
let bad: number;

beforeAll(async () => {
  cpSync(base, run("poisoned"), { recursive: true });
  const data = records("train.json", 64).map((record, i) =>
    i === RECORD ? { ...record, instruction: `${record.instruction} ${POISON}` } : record,
  );
  writeFileSync(run("data.json"), JSON.stringify(data));
  const tokenizer = await loadTokenizer(base);
  const texts = [...data, ...records("heldout.json", 8)].map(({ instruction, input, output }) =>
    tokenizer.encode(`${instruction}\n${input}\n${output}`),
  );
  const token = texts[RECORD]?.find((id) => texts.every((ids, i) => i === RECORD || !ids.includes(id)));
  if (token === undefined) throw new Error(`no token of "${POISON}" is rare`);
  withPoisonedToken(run("poisoned"), token);
  const stopped = await train("stopped", 2);
  expect(stopped).toMatchObject({ code: 1 });
  bad = stopped.json.length + 1;
  expect(bad).toBeGreaterThan(4);
  expect(stopped.stderr).toMatch(
    new RegExp(`Step ${bad} has numbers that cannot be used: cell \\d \\(samples [\\d, ]+\\): the (loss|gradient)`),
  );
  expect(stopped.stderr).toMatch(
    new RegExp(`cell \\d, sample ${RECORD} \\(record ${RECORD} of the data\\): ".*${POISON}`),
  );
  expect(stopped.stderr).toContain("resume with --on-bad-numbers skip");
  expect(stopped.stderr).toContain(`The state after step ${bad - 1} is saved`);
});

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

test("rollback takes steps back and passes over them, to the same bits wherever it was cut [T-E4, T-E7]", async () => {
  const more = ["--on-bad-numbers", "rollback", "--rollback-steps", "2"];
  expect(await train("back-1", 1, more)).toMatchObject({ code: 0 });
  expect(stepsOf("back-1", "void")).toEqual([bad - 2, bad - 1, bad]);
  expect(stepsOf("back-1", "step")).toEqual([1, 2, 3, 4, 5, 6, 7, 8].filter((s) => s < bad - 2 || s > bad));
  // It went on from the checkpoint two steps before, and from no other.
  expect(readdirSync(join(run("back-1"), "rewound", "1")).toSorted()).toEqual([`step-${bad - 2}`, `step-${bad - 1}`]);
  // Without any checkpoint to go back to, from the start.
  expect(await train("back-2", 2, [...more, "--save-every", "100"])).toMatchObject({ code: 0 });
  // Killed before, in and after what is done again.
  expect(await zerogate(words("back-3", 2, more), { cwd, ...killAfter(2) })).toMatchObject({ code: null });
  for (const steps of [3, 4, 5]) {
    // How far the last checkpoint has come by then is up to the disk: the run may even end.
    const { code } = await zerogate(["resume", "back-3", "--json"], { cwd, ...killAfter(steps) });
    expect(code).toBeOneOf([null, 0]);
  }
  expect(await resume("back-3")).toMatchObject({ code: 0 });
  for (const out of ["back-2", "back-3"]) {
    expect(adapterHash(run(out))).toBe(adapterHash(run("back-1")));
    expect(receiptText(out)).toBe(receiptText("back-1"));
  }
  expect(await train("not-back", 1, ["--on-bad-numbers", "skip"])).toMatchObject({ code: 0 });
  expect(adapterHash(run("back-1"))).not.toBe(adapterHash(run("not-back")));
  expect(await zerogateHere(["verify", "back-1", "--replay", "1..8"], { cwd })).toMatchObject({ code: 0 });
});

test("a gradient too large for the fixed-point sum is reported and skipped like one that is not a number", async () => {
  const data = records("train.json", 64).map((record, i) =>
    i === RECORD ? { ...record, output: `${record.output} ${POISON}` } : record,
  );
  writeFileSync(run("large.json"), JSON.stringify(data));
  const tokenizer = await loadTokenizer(base);
  const answers = data.map(({ output }) => tokenizer.encode(output));
  const token = answers[RECORD]?.findLast((id) => answers.every((ids, i) => i === RECORD || !ids.includes(id)));
  if (token === undefined) throw new Error(`no token of "${POISON}" is rare`);
  cpSync(base, run("large"), { recursive: true });
  withUnexpectedToken(run("large"), token, 0, 100_000);
  const large = ["--model", "large", "--data", "large.json"];
  const more = ["--on-bad-numbers", "skip"];
  const trainLarge = (out: string, workers: number, policy: string[]) =>
    zerogateHere(
      [
        "train",
        ...without(flags, ["--model", "--data"]),
        ...large,
        "--out",
        out,
        "--workers",
        String(workers),
        ...policy,
      ],
      { cwd },
    );

  const skipped = await trainLarge("large-1", 1, more);
  expect(skipped).toMatchObject({ code: 0 });
  expect(skipped.stderr).toMatch(
    /has numbers that cannot be used: cell \d \(samples [\d, ]+\): the gradient of the gate of layer \d is -?\d{3,}\.\d+/,
  );
  // Only the sample to blame is named, though the loss of each is finite.
  const blamed = new RegExp(`^ {2}cell \\d, sample ${RECORD} \\(record ${RECORD} of the data\\): ".*${POISON}"$`, "m");
  expect(skipped.stderr).toMatch(blamed);
  expect(stepsOf("large-1", "void").length).toBeGreaterThan(0);
  expect(stepsOf("large-1", "step").length).toBeGreaterThan(0);
  expect(await trainLarge("large-3", 3, more)).toMatchObject({ code: 0 });
  expect(receiptText("large-3")).toBe(receiptText("large-1"));
  expect(adapterHash(run("large-3"))).toBe(adapterHash(run("large-1")));

  const stopped = await trainLarge("large-stopped", 2, []);
  expect(stopped).toMatchObject({ code: 1 });
  const before = (stepsOf("large-1", "void")[0] ?? 0) - 1;
  expect(stopped.stderr).toContain(`The state after step ${before} is saved`);
  expect(await resume("large-stopped", more)).toMatchObject({ code: 0 });
  expect(receiptText("large-stopped")).toBe(receiptText("large-1"));

  const back = ["--on-bad-numbers", "rollback", "--rollback-steps", "1"];
  for (const workers of [1, 2])
    expect(await trainLarge(`large-back-${workers}`, workers, back)).toMatchObject({ code: 0 });
  expect(stepsOf("large-back-1", "void")).toContain(before + 1);
  expect(receiptText("large-back-2")).toBe(receiptText("large-back-1"));
});

/** Flags without some of them and their values. */
function without(list: readonly string[], names: readonly string[]): string[] {
  return list.filter((flag, i) => !names.includes(flag) && !names.includes(list[i - 1] ?? ""));
}

function killAfter(steps: number): Pick<Call, "onLine"> {
  let seen = 0;
  return {
    onLine(line, send) {
      if (/"event":"step"/.test(line) && ++seen === steps) send("SIGKILL");
    },
  };
}
