import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crc32c, maskedCrc32c } from "./crc32c.ts";
import type { StepMetrics } from "./metrics_line.ts";
import { openEventFile } from "./tensorboard.ts";

const stepLine = (step: number): StepMetrics => ({
  step,
  epoch: 1,
  loss: step / 4,
  learningRate: 0.5,
  gradientNorm: 2,
  gates: [0.25, -0.5],
  labelledTokens: 10,
  tokens: 20,
  labelledTokensPerSecond: 100,
  tokensPerSecond: 200,
  computeMs: 80,
  reduceMs: 5,
  waitMs: 15,
  stepMs: 100,
});

/** Each test writes at a time of its own: the time is part of the file's name. */
function writeRun(run: string, from: number, steps: readonly number[]): Buffer {
  const file = openEventFile(run, from, quiet, () => 1_700_000_000_000 + 1000 * from);
  for (const step of steps) file.write(stepLine(step));
  file.write({ event: "eval", step: 300, epoch: 1, loss: 0.5, perplexity: 2, labelledTokens: 7 });
  file.close();
  return readFileSync(join(run, readdirSync(run).at(-1) ?? ""));
}

const quiet = { failed: () => {}, worked: () => {} };
const newRun = () => mkdtempSync(join(tmpdir(), "zerogate-events-"));

test("crc32c agrees with RFC 3720 for 32 zero bytes, the masked one with a record that TensorFlow wrote", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  // Event(file_version="CRC test, one two"), from the documentation of TensorBoard's own reader.
  expect(maskedCrc32c(Buffer.from("\x1a\x11CRC test, one two", "latin1"))).toBe(0x5794d08a);
});

test("records are whole: lengths lead from one to the next and both checksums of each are right", () => {
  const file = writeRun(newRun(), 0, [1, 300]);
  const texts: string[] = [];
  let at = 0;
  while (at < file.length) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
    texts.push(data.toString("latin1"));
    at += 16 + length;
  }
  expect(texts).toHaveLength(4);
  expect(texts[0]).toContain("brain.Event:2");
  expect(texts[1]).toContain("loss/train");
  // Step 300 as int64 field 2: key 0x10, then 300 = 0b10_0101100.
  expect(texts[2]).toContain("\x10\xac\x02");
  expect(texts[3]).toContain("loss/validation");
});

const readBack = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
`;
const python = spawnSync("python3", ["-c", "import tensorboard"]).status === 0;

test.skipIf(!python)(
  "TensorBoard reads it, and forgets what a resume does again (skipped where Python lacks tensorboard)",
  () => {
    const run = newRun();
    writeRun(run, 0, [1, 2, 3]);
    writeRun(run, 2, [3, 4]);
    const { stdout } = spawnSync("python3", ["-c", readBack, run], { encoding: "utf8" });
    const scalars = JSON.parse(stdout) as Record<string, unknown>;
    expect(scalars["loss/train"]).toEqual([1, 2, 3, 4].map((step) => [step, step / 4]));
    expect(scalars["gate/adapted_1"]).toEqual([1, 2, 3, 4].map((step) => [step, -0.5]));
    expect(scalars["loss/validation"]).toEqual([[300, 0.5]]);
  },
);
