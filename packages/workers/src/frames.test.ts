import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { encodeFrame, readFrames } from "./frames.ts";

const messages = [
  { type: "answer", sums: Int32Array.of(1, -2, 2 ** 31 - 1), nothing: undefined, list: [1, "ä"], nan: Number.NaN },
  {},
  { numbers: Float32Array.of(0.1, -0, Number.POSITIVE_INFINITY), bytes: new Uint8Array(100_000).fill(7) },
];
const MAX = 200_000;
const bytes = Buffer.concat(messages.flatMap((message) => encodeFrame(message, MAX)));

/** What comes out of `input`, cut into chunks of these many bytes. */
function read(input: Buffer, chunk: number, maxBytes = MAX) {
  const stream = new PassThrough();
  const out: { messages: unknown[]; broken: string[] } = { messages: [], broken: [] };
  readFrames(
    stream,
    maxBytes,
    (message) => out.messages.push(message),
    (problem) => out.broken.push(problem),
  );
  for (let at = 0; at < input.length; at += chunk) stream.emit("data", input.subarray(at, at + chunk));
  return out;
}

test.each([1, 7, 12, 13, 65_536, 1_000_000])("messages come out as they went in, in chunks of %i bytes", (chunk) => {
  expect(read(bytes, chunk)).toEqual({ messages, broken: [] });
});

test("shared memory crosses as a copy", () => {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  shared.set([3, 4]);
  const [copy] = read(Buffer.concat(encodeFrame(shared, MAX)), 5).messages;
  expect(copy).toEqual(Int32Array.of(3, 4));
});

test("a changed bit anywhere is found, and nothing after it is read", () => {
  const first = Buffer.concat(encodeFrame(messages[0], MAX));
  for (let at = 0; at < first.length; at++) {
    const changed = Buffer.concat([first, first]);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
    const { messages: got, broken } = read(changed, 64);
    expect(got).toEqual([]);
    expect(broken.join()).toMatch(
      at < 12 ? /^a frame with a broken header$/ : /^a frame of \d+ bytes with a wrong checksum$/,
    );
  }
});

test("a message above the cap is neither sent nor read", () => {
  expect(() => encodeFrame(messages[2], 1000)).toThrow(/^Cannot send a message of 1000\d\d bytes: at most 1000 fit$/);
  const { messages: got, broken } = read(bytes, 4096, 1000);
  expect(got.length).toBe(2);
  expect(broken).toEqual([expect.stringMatching(/^a frame of 1000\d\d bytes, at most 1000 are allowed$/)]);
});
