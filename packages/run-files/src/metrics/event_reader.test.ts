import { expect, test } from "vitest";
import { maskedCrc32c } from "./crc32c.ts";
import { readEvents } from "./event_reader.ts";

/** An event in its frame: its length, both checksums. */
function frame(...data: readonly (number | string | readonly number[])[]): Buffer {
  const parts = data.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part)));
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(body.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(maskedCrc32c(body));
  return Buffer.concat([head, body, end]);
}

/** wall_time = 1, a double. */
const time = [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
/** A value { tag = 1, simple_value = 2 } of a summary. */
const value = (tag: string) => [
  0x0a,
  tag.length + 7,
  0x0a,
  tag.length,
  ...Buffer.from(tag),
  0x15,
  0x41,
  0x42,
  0x43,
  0x44,
];
/** The step (2) and a summary (5) of values. */
function event(step: readonly number[], ...tags: string[]): Buffer {
  const values = tags.flatMap(value);
  return frame(time, 0x10, step, 0x2a, values.length, values);
}

test("events are counted, curves stand in the order of their appearance, and the last step is the highest", () => {
  const version = frame(time, 0x1a, 3, "v:2");
  const file = Buffer.concat([version, event([0xac, 0x02], "b", "a"), event([7], "a", "c")]);
  expect(readEvents(file)).toEqual({ events: 3, lastStep: 300, curves: ["b", "a", "c"], problem: undefined });
});

test("an empty file has no events and no problem", () => {
  expect(readEvents(new Uint8Array(0))).toEqual({ events: 0, lastStep: 0, curves: [], problem: undefined });
});

test("a part of a larger array is read as a file of its own", () => {
  const file = event([5], "loss");
  const larger = Buffer.concat([Buffer.alloc(24, 1), file, Buffer.alloc(8, 1)]);
  expect(readEvents(larger.subarray(24, 24 + file.length))).toEqual(readEvents(file));
});

test("a step of more than 32 bits is read", () => {
  expect(readEvents(event([0x81, 0x80, 0x80, 0x80, 0x80, 0x01])).lastStep).toBe(2 ** 35 + 1);
});

test("wherever the file is cut off, that is said of the event in which it ends, and what comes before counts", () => {
  const [first, second] = [event([1], "a"), event([2], "b")];
  for (let cut = 1; cut < second.length; cut++) {
    expect(readEvents(Buffer.concat([first, second.subarray(0, cut)]))).toEqual({
      events: 1,
      lastStep: 1,
      curves: ["a"],
      problem: "it is cut off in event 2",
    });
  }
});

test("another byte anywhere ends the reading with the event in which it is", () => {
  const [first, second] = [event([1], "a"), event([2], "b")];
  for (let at = 0; at < second.length; at++) {
    const damaged = Buffer.concat([first, second, event([3], "c")]);
    damaged[first.length + at] = (damaged[first.length + at] ?? 0) ^ 1;
    const { events, lastStep, problem } = readEvents(damaged);
    expect({ at, events, lastStep }).toEqual({ at, events: 1, lastStep: 1 });
    expect(problem).toMatch(/^(event 2 has another checksum than it should|it is cut off in event 2)$/);
  }
});

test("fields of any kind that are not known are passed over", () => {
  const unknown = [0x18, 0x96, 0x01, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3a, 2, 0x0a, 0x00, 0x45, 1, 2, 3, 4];
  const values = value("a");
  const file = frame(unknown, 0x10, 9, 0x2a, values.length, values);
  expect(readEvents(file)).toEqual({ events: 1, lastStep: 9, curves: ["a"], problem: undefined });
});

test.each([
  ["a group, which no writer makes", [0x13, 0x2a, 5, 0x0a, 3, 0x0a, 1, 0x61]],
  ["a field that claims more than there is", [0x2a, 0x40, 0x0a, 3, 0x0a, 1, 0x61]],
  ["a fixed field that is cut off", [0x09, 1, 2, 3]],
  ["a number that does not end", [0x18, 0x80]],
])("a message ends at %s, and its event counts with what was before", (_, rest) => {
  expect(readEvents(frame(0x10, 4, rest))).toEqual({ events: 1, lastStep: 4, curves: [], problem: undefined });
});

test("a field that ends with its message is read", () => {
  expect(readEvents(frame(0x2a, 5, 0x0a, 3, 0x0a, 1, 0x61)).curves).toEqual(["a"]);
});

test("a summary or value of the wrong kind gives no curve, and a step of the wrong kind is none", () => {
  expect(readEvents(frame(0x28, 1, 0x12, 1, 0x07))).toEqual({ events: 1, lastStep: 0, curves: [], problem: undefined });
  expect(readEvents(frame(0x2a, 2, 0x08, 1)).curves).toEqual([]);
  expect(readEvents(frame(0x2a, 4, 0x0a, 2, 0x08, 1)).curves).toEqual([]);
});
