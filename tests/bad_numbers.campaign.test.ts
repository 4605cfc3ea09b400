/** Rollbacks that are killed in between, and gradients too large for the sum: the same bits in any case. */
import { cpSync, writeFileSync } from "node:fs";
import { loadTokenizer } from "@zerogate/data";
import { expect, test } from "vitest";
import { type Call, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { withUnexpectedToken } from "./support/hostile_model.ts";
import {
  cwd,
  flags,
  POISON,
  RECORD,
  receiptText,
  resume,
  run,
  stepsOf,
  train,
  words,
} from "./support/poisoned_runs.ts";
import { adapterHash, base, records } from "./support/world.ts";

test("rollback takes steps back and passes over them, to the same bits wherever it was cut [T-E4, T-E7]", async () => {
  const more = ["--on-bad-numbers", "rollback", "--rollback-steps", "2"];
  expect(await train("back-1", 1, more)).toMatchObject({ code: 0 });
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
