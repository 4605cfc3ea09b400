/**
 * TensorBoard event files, written without TensorFlow.
 *
 * A record is: u64 length · u32 masked CRC of those 8 bytes · data · u32 masked CRC of the data, all little-endian
 * (tensorboard/data/server/tf_record.rs). Data is a protobuf `Event`: wall_time = 1 (double), step = 2 (int64),
 * file_version = 3 (string), summary = 5 { value = 1 { tag = 1, simple_value = 2 (float) } }, session_log = 7 { status = 1 }.
 */
import { join } from "node:path";
import { openAppendFile } from "../files/append_file.ts";
import type { Trouble } from "../files/trouble.ts";
import { maskedCrc32c } from "./crc32c.ts";
import { isEvaluation, type MetricsLine } from "./metrics_line.ts";

/** Wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const SESSION_START = 1;

/** The curves of a run as TensorBoard reads them. */
export interface EventFile {
  /** Adds the curves' points of a line. */
  write(line: MetricsLine): void;
  /** Closes the file. */
  close(): void;
}

/**
 * Starts an event file for a run that has done `step` steps. TensorBoard reads all files of a folder as one run; the
 * session mark of a resumed one makes it forget the steps that are done again.
 */
export function openEventFile(runDir: string, step: number, trouble: Trouble, now: () => number = Date.now): EventFile {
  const seconds = () => now() / 1000;
  const name = `events.out.tfevents.${Math.floor(seconds())}.zerogate.${process.pid}`;
  const file = openAppendFile(join(runDir, name), trouble);
  const write = (event: Uint8Array) => file.write(record(event));
  write(bytes(double(1, seconds()), text(3, "brain.Event:2")));
  if (step > 0) write(bytes(double(1, seconds()), varint(2, step + 1), nested(7, varint(1, SESSION_START))));
  return {
    write: (line) => {
      const values = Object.entries(scalars(line)).map(([tag, value]) => nested(1, text(1, tag), float(2, value)));
      write(bytes(double(1, seconds()), varint(2, line.step), nested(5, ...values)));
    },
    close: file.close,
  };
}

/** The curves that a line of metrics continues, by tag. */
function scalars(line: MetricsLine): Record<string, number> {
  if (isEvaluation(line)) return { "loss/validation": line.loss, "perplexity/validation": line.perplexity };
  const width = String(line.gates.length - 1).length;
  return {
    "loss/train": line.loss,
    "optimizer/learning_rate": line.learningRate,
    "optimizer/gradient_norm": line.gradientNorm,
    "speed/tokens_per_second": line.tokensPerSecond,
    "speed/labelled_tokens_per_second": line.labelledTokensPerSecond,
    "time_ms/step": line.stepMs,
    "time_ms/compute": line.computeMs,
    "time_ms/reduce": line.reduceMs,
    "time_ms/wait": line.waitMs,
    ...Object.fromEntries(line.gates.map((gate, i) => [`gate/adapted_${String(i).padStart(width, "0")}`, gate])),
  };
}

function record(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + data.length);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return out;
}

const bytes = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** A whole number ≥ 0, seven bits a byte, lowest first. */
function digits(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
  out.push(value);
  return out;
}

const key = (field: number, wire: number): number => (field << 3) | wire;

const varint = (field: number, value: number): Uint8Array => Uint8Array.from([key(field, VARINT), ...digits(value)]);

function nested(field: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return bytes(Uint8Array.from([key(field, BYTES), ...digits(length)]), ...parts);
}

const text = (field: number, value: string): Uint8Array => nested(field, new TextEncoder().encode(value));

function double(field: number, value: number): Uint8Array {
  const out = new DataView(new ArrayBuffer(9));
  out.setUint8(0, key(field, FIXED64));
  out.setFloat64(1, value, true);
  return new Uint8Array(out.buffer);
}

function float(field: number, value: number): Uint8Array {
  const out = new DataView(new ArrayBuffer(5));
  out.setUint8(0, key(field, FIXED32));
  out.setFloat32(1, value, true);
  return new Uint8Array(out.buffer);
}
