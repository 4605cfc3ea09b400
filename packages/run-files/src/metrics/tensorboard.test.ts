import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crc32c, maskedCrc32c } from "./crc32c.ts";
import { readEvents } from "./event_reader.ts";
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

/** As TensorBoard 2.21 read them: the version; the session's start at step 300; the step's curves; the validation's. */
const events = [
  "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110",
  "100000000000000095fbfe180900002040fc54d94110ac023a020801b94512a3",
  // Length with its checksum, time, step 300, a summary of 381 bytes
  "0c02000000000000e868dd7d0900002040fc54d94110ac022afd03",
  "0a110a0a6c6f73732f747261696e150000803e",
  "0a1e0a176f7074696d697a65722f6c6561726e696e675f72617465150000003f",
  "0a1e0a176f7074696d697a65722f6772616469656e745f6e6f726d1500000040",
  "0a1e0a1773706565642f746f6b656e735f7065725f7365636f6e641500004843",
  "0a270a2073706565642f6c6162656c6c65645f746f6b656e735f7065725f7365636f6e64150000c842",
  "0a130a0c74696d655f6d732f73746570150000ca42",
  "0a160a0f74696d655f6d732f636f6d70757465150000a042",
  "0a150a0e74696d655f6d732f726564756365150000a040",
  "0a130a0c74696d655f6d732f776169741500007041",
  "0a160a0f676174652f616461707465645f3030150000803e",
  "0a160a0f676174652f616461707465645f303115000000bf",
  ...Array.from({ length: 8 }, (_, i) => `0a160a0f676174652f616461707465645f303${i + 2}1500000000`),
  "0a160a0f676174652f616461707465645f3130150000803f",
  "e6e38a22",
  "440000000000000043592e9a0900002040fc54d94110ac022a36",
  "0a160a0f6c6f73732f76616c69646174696f6e150000003f",
  "0a1c0a15706572706c65786974792f76616c69646174696f6e1500000040",
  "36cc5407",
];

test("the bytes of a resumed run are those that TensorBoard read, in a file named by time and process", () => {
  const run = newRun();
  const file = openEventFile(run, 299, quiet, () => 1_700_000_000_500);
  file.write({ ...stepLine(300), loss: 0.25, stepMs: 101, gates: [0.25, -0.5, 0, 0, 0, 0, 0, 0, 0, 0, 1] });
  file.write({ event: "eval", step: 300, epoch: 1, loss: 0.5, perplexity: 2, labelledTokens: 7 });
  file.close();
  const name = `events.out.tfevents.1700000000.zerogate.${process.pid}`;
  expect(readdirSync(run)).toEqual([name]);
  const bytes = readFileSync(join(run, name));
  expect(bytes.toString("hex")).toBe(events.join(""));
  const { curves, ...rest } = readEvents(bytes);
  expect(rest).toEqual({ events: 4, lastStep: 300, problem: undefined });
  expect([curves.length, curves[0], curves[19], curves[21]]).toEqual([
    22,
    "loss/train",
    "gate/adapted_10",
    "perplexity/validation",
  ]);
});

test("a run that starts has no session mark, a resumed one has one before its first step", () => {
  expect(readEvents(writeRun(newRun(), 0, []))).toMatchObject({ events: 2, lastStep: 300 });
  expect(readEvents(writeRun(newRun(), 1, []))).toMatchObject({ events: 3, lastStep: 300 });
});

test("steps of any size come back, and ten gates are numbered by one digit", () => {
  for (const step of [127, 128, 16_383, 16_384, 2 ** 31, 2 ** 40]) {
    const run = newRun();
    const file = openEventFile(run, 0, quiet, () => 1_700_000_000_000);
    file.write({ ...stepLine(step), gates: Array(10).fill(0) });
    file.close();
    const { lastStep, curves } = readEvents(readFileSync(join(run, readdirSync(run)[0] ?? "")));
    expect([lastStep, curves.at(-1)]).toEqual([step, "gate/adapted_9"]);
  }
});

test("what the disk refuses is reported, kept, and written when the file is closed", () => {
  const run = join(newRun(), "run");
  const said: string[] = [];
  const trouble = { failed: () => said.push("failed"), worked: () => said.push("worked") };
  const file = openEventFile(run, 0, trouble, () => 1_700_000_000_000);
  rmSync(run, { recursive: true });
  writeFileSync(run, "in the way");
  file.write(stepLine(3));
  rmSync(run);
  file.close();
  expect(said).toEqual(["worked", "failed", "worked"]);
  expect(readEvents(readFileSync(join(run, readdirSync(run)[0] ?? "")))).toMatchObject({ events: 2, lastStep: 3 });
});

const readBack = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
`;
const python = process.env["ZEROGATE_PYTHON"] ?? "python3";
const hasTensorBoard = spawnSync(python, ["-c", "import tensorboard"]).status === 0;

test.skipIf(!hasTensorBoard)(
  "TensorBoard reads it, and forgets what a resume does again (skipped if Python lacks tensorboard)",
  () => {
    const run = newRun();
    writeRun(run, 0, [1, 2, 3]);
    writeRun(run, 2, [3, 4]);
    const { stdout } = spawnSync(python, ["-c", readBack, run], { encoding: "utf8" });
    const scalars = JSON.parse(stdout) as Record<string, unknown>;
    expect(scalars["loss/train"]).toEqual([1, 2, 3, 4].map((step) => [step, step / 4]));
    expect(scalars["gate/adapted_1"]).toEqual([1, 2, 3, 4].map((step) => [step, -0.5]));
    expect(scalars["loss/validation"]).toEqual([[300, 0.5]]);
  },
);
