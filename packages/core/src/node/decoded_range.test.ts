/** Packed tensors reach their places in pieces of whole rows, whatever units they are packed in. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { narrow } from "../formats/dtype.ts";
import { decodedRange } from "./decoded_range.ts";
import { type FileRange, readRanges } from "./parallel_read.ts";
import { openRegularFile } from "./regular_file.ts";

/** Longer than a chunk, so that pieces begin and end at both borders. */
const COUNT = 9 * 2 ** 20;
const HEAD = 5;

async function packedFile(): Promise<Pick<FileRange, "file" | "begin" | "end">> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-packed-"));
  const path = join(folder, "packed");
  await writeFile(
    path,
    Uint8Array.from({ length: HEAD + COUNT / 2 }, (_, i) => (37 * i) % 256),
  );
  const handle = await openRegularFile(path);
  onTestFinished(async () => {
    await handle.close();
    await rm(folder, { recursive: true });
  });
  return { file: { path, handle }, begin: HEAD, end: HEAD + COUNT / 2 };
}

/** Number i of the tensor: a nibble of its byte, and which of eight numbers it is. */
const numberAt = (i: number): number => {
  const byte = (37 * (HEAD + (i >> 1))) % 256;
  return (i % 2 === 0 ? byte & 15 : byte >> 4) + (i % 8) * 16;
};

/** Nibbles, low first; `first` decides what is added, as scales do. */
const decode = (bytes: Uint8Array, out: Float32Array, first: number): void => {
  for (let i = 0; i < out.length; i++) {
    const byte = bytes[i >> 1];
    out[i] = (i % 2 === 0 ? byte & 15 : byte >> 4) + ((first + i) % 8) * 16;
  }
};

test.each([
  { title: "units of 2 numbers, rows of 3", unitNumbers: 2, row: 3 },
  { title: "units of 32 numbers, rows of 12", unitNumbers: 32, row: 12 },
  { title: "one unit, rows of 3", unitNumbers: COUNT, row: 3 },
])("$title: every number comes once, in whole rows", async ({ unitNumbers, row }) => {
  const packed = await packedFile();
  let opened = 0;
  const whole = (_: Uint8Array, out: Float32Array, first: number) => {
    for (let i = 0; i < out.length; i++) out[i] = numberAt(first + i);
  };
  const decoder = {
    name: "nibbles",
    unitNumbers,
    unitBytes: unitNumbers / 2,
    open: async () => {
      opened++;
      return unitNumbers === COUNT ? whole : decode;
    },
  };
  const found = new Float32Array(COUNT).fill(-1);
  const plain: FileRange = {
    ...packed,
    unit: 4 * row,
    onChunk(bytes, from) {
      expect([from % (4 * row), bytes.length % (4 * row)]).toEqual([0, 0]);
      const numbers = new Float32Array(bytes.slice().buffer);
      expect(found[from / 4]).toBe(-1);
      found.set(numbers, from / 4);
    },
  };
  let done = 0;
  await readRanges([decodedRange({ ...packed, decoder, count: COUNT, dtype: "f32" }, plain)], (bytes) => {
    done += bytes;
  });
  expect([done, opened]).toEqual([COUNT / 2, 1]);
  expect(found.every((value, i) => value === numberAt(i))).toBe(true);
});

test("numbers of 16 bits go straight to their place", async () => {
  const packed = await packedFile();
  const block = new Uint8Array(2 * COUNT);
  const plain: FileRange = { ...packed, place: (from, length) => block.subarray(from, from + length) };
  const decoder = { name: "nibbles", unitNumbers: 2, unitBytes: 1, open: async () => decode };
  await readRanges([decodedRange({ ...packed, decoder, count: COUNT, dtype: "bf16" }, plain)], () => {});
  const expected = narrow(
    Float32Array.from({ length: COUNT }, (_, i) => numberAt(i)),
    "bf16",
  );
  expect(Buffer.compare(block, expected)).toBe(0);
});
