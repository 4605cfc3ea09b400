/** A run directory may be a stranger's: JSON in its files is read by core's strict reader, which no depth of brackets fills memory of. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import type { TrainConfig } from "@zerogate/run-config";
import { undoChanges } from "@zerogate/run-config";
import { readMetrics, readReceipt, readRecord } from "@zerogate/run-files";
import { expect, onTestFinished, test } from "vitest";
import { readAccepted } from "./accepted.ts";

const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;

function newRun(): string {
  const run = mkdtempSync(join(tmpdir(), "zerogate-foreign-"));
  onTestFinished(() => rmSync(run, { recursive: true }));
  return run;
}

test("a list of accepted changes that is nested without end is damaged, and its depth is the cause [T-B7]", async () => {
  const run = newRun();
  writeFileSync(join(run, "accepted.json"), `{"changes": ${deep}, "sha256": ""}`);
  const error = await readAccepted(run).catch((problem: unknown) => problem as InputError);
  expect(error).toBeInstanceOf(InputError);
  expect(error).toMatchObject({ cause: { message: "Brackets are nested more than 1000 deep" } });
});

test("an earlier value that is no JSON, or nested without end, is refused by the name of its key [T-B7]", () => {
  const undo = (was: string) => () => undoChanges({ seed: 5 } as TrainConfig, [{ field: "seed", was, is: "5" }]);
  expect(undo("4")()).toEqual({ seed: 4 });
  expect(undo("not set")()).toEqual({ seed: undefined });
  for (const was of [deep, "four", ""]) expect(undo(was)).toThrow(InputError);
  expect(undo("four")).toThrow('Cannot undo accepted changes: seed was "four", which is not JSON');
});

test("a line of metrics that is nested without end is no line, the others are read [T-B7]", () => {
  const run = newRun();
  const numbers =
    '"epoch":1,"loss":1,"learningRate":1,"gradientNorm":1,"gates":[],"labelledTokens":1,"tokens":1,"labelledTokensPerSecond":1,"tokensPerSecond":1,"computeMs":1,"reduceMs":1,"waitMs":1,"stepMs":1';
  writeFileSync(join(run, "metrics.jsonl"), `{"step":1,${numbers}}\n{"step":2,${numbers},"more":${deep}}\n`);
  const { steps, unreadable } = readMetrics(run);
  expect([steps.map(({ step }) => step), unreadable]).toEqual([[1], 1]);
});

test("a lock and a line of a receipt that say a thing twice are no record, whichever of the two a reader would take [T-B7]", async () => {
  const run = newRun();
  const lock = (pid: string) => `{${pid},"startTime":"1","host":"h","boot":"b","since":"s"}`;
  const path = join(run, "lock-1");
  writeFileSync(path, lock('"pid":1'));
  expect((await readRecord(path)).record).toMatchObject({ pid: 1 });
  for (const pid of ['"pid":1,"pid":2', `"pid":${deep}`]) {
    writeFileSync(path, lock(pid));
    expect((await readRecord(path)).record).toBeUndefined();
  }
  const linked = (content: string) => {
    const link = createHash("sha256")
      .update(`${"0".repeat(64)}\n${content}`)
      .digest("hex");
    return readReceipt(Buffer.from(`${content.slice(0, -1)},"chain":"${link}"}\n`));
  };
  expect(linked('{"event":"void","step":1,"reason":"r"}').lines).toHaveLength(1);
  for (const content of [
    '{"event":"void","step":1,"step":2,"reason":"r"}',
    `{"event":"void","step":1,"reason":${deep}}`,
  ])
    expect(linked(content)).toMatchObject({ lines: [], problem: "line 1 is no line of a receipt" });
});
