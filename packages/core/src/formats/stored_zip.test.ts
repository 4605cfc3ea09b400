import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { memorySource } from "./byte_source.ts";
import { crc32 } from "./crc32.ts";
import { readZipDirectory, readZipEntry } from "./stored_zip.ts";
import { serializeStoredZip } from "./stored_zip_writer.ts";

const text = (value: string) => new TextEncoder().encode(value);

async function readAll(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const source = memorySource(bytes, "x.zip");
  const entries = new Map<string, Uint8Array>();
  for (const [name, entry] of await readZipDirectory(source)) entries.set(name, await readZipEntry(source, entry));
  return entries;
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await readAll(bytes).catch((thrown: unknown) => thrown);
  return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
}

test("the CRC-32 is the usual one", () => {
  expect(crc32(text("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array())).toBe(0);
});

test("any entries come back as they were written", async () => {
  const entries = fc.dictionary(fc.string({ unit: "grapheme", minLength: 1 }), fc.uint8Array(), {
    noNullPrototype: true,
  });
  await fc.assert(
    fc.asyncProperty(entries, fc.constantFrom(1, 4, 64), async (content, alignment) => {
      const map = new Map(Object.entries(content));
      expect(await readAll(serializeStoredZip(map, alignment))).toEqual(map);
    }),
  );
});

test("each entry begins at a multiple of the alignment", () => {
  const marks = ["first", "second", "third"];
  const bytes = Buffer.from(
    serializeStoredZip(new Map(marks.map((mark, i) => [`${"n".repeat(i * 7)}x`, text(mark)])), 64),
  );
  expect(marks.map((mark) => bytes.indexOf(mark) % 64)).toEqual([0, 0, 0]);
});

/** An archive of the one entry "a" whose directory gives sizes and place in its extra fields, as torch does from 4 GiB on. */
function zip64(extra: Uint8Array): Uint8Array {
  const bytes = serializeStoredZip(new Map([["a", text("content")]]), 1);
  const view = new DataView(bytes.buffer);
  const end = bytes.length - 22;
  const directory = view.getUint32(end + 16, true);
  const longer = new Uint8Array(bytes.length + extra.length);
  longer.set(bytes.subarray(0, end));
  longer.set(extra, end); // the only entry of the directory ends there
  longer.set(bytes.subarray(end), end + extra.length);
  const data = new DataView(longer.buffer);
  for (const field of [20, 24, 42]) data.setUint32(directory + field, 0xffffffff, true);
  data.setUint16(directory + 30, extra.length, true);
  data.setUint32(end + extra.length + 12, view.getUint32(end + 12, true) + extra.length, true);
  return longer;
}
const longField = (id: number, length: number, ...numbers: number[]) =>
  new Uint8Array([id, 0, length, 0, ...numbers.flatMap((value) => [value, 0, 0, 0, 0, 0, 0, 0])]);

test("sizes and place are read from the extra field if the short ones are full, behind and before other fields", async () => {
  const sizes = longField(1, 24, 7, 7, 0);
  const other = longField(9, 8, 1);
  for (const extra of [sizes, new Uint8Array([...other, ...sizes]), new Uint8Array([...sizes, ...other])]) {
    expect(await readAll(zip64(extra))).toEqual(new Map([["a", text("content")]]));
  }
  for (const extra of [
    longField(1, 16, 7, 7),
    longField(1, 25, 7, 7, 0),
    longField(2, 24, 7, 7, 0),
    new Uint8Array(),
  ]) {
    expect(await refusal(zip64(extra))).toContain('"a" has no sound size');
  }
});

/** Two entries; positions of their headers and of the directory are searched for, since names decide them. */
const sound = serializeStoredZip(
  new Map([
    ["a", text("aaaa")],
    ["b", text("bbbb")],
  ]),
  4,
);
const places = (signature: number) =>
  [...sound.keys()].filter(
    (at) => at + 4 <= sound.length && new DataView(sound.buffer).getUint32(at, true) === signature,
  );
const [local = [], central = [], [end = 0]] = [0x04034b50, 0x02014b50, 0x06054b50].map(places);

/** Bytes from the content of the first entry to the header of the second. */
const gap = (local[1] ?? 0) - Buffer.from(sound).indexOf("aaaa");

/** The sound file with some 16- or 32-bit numbers replaced. */
function changed(...changes: [at: number, bits: 16 | 32, value: number][]): Uint8Array {
  const bytes = sound.slice();
  const data = new DataView(bytes.buffer);
  for (const [at, bits, value] of changes) {
    if (bits === 16) data.setUint16(at, value, true);
    else data.setUint32(at, value, true);
  }
  return bytes;
}

test("every header asks for version 2.0 of the format, as torch's own files do", () => {
  const at = (place: number) => new DataView(sound.buffer).getUint16(place, true);
  expect([...local.map((begin) => at(begin + 4)), ...central.map((begin) => at(begin + 6))]).toEqual([20, 20, 20, 20]);
});

describe("hostile zips", () => {
  const cases: Record<string, [bytes: Uint8Array, message: string]> = {
    nothing: [new Uint8Array(), "it has no zip directory at its end"],
    "a byte after its end": [Uint8Array.of(...sound, 0), "it has no zip directory at its end"],
    "a comment, in which a second archive could hide": [
      changed([end + 20, 16, 1]),
      "it has no zip directory at its end",
    ],
    "compressed: what could unfold": [
      changed([central[0] + 10, 16, 8]),
      '"a" is compressed (method 8), torch stores: save it with torch.save',
    ],
    encrypted: [changed([central[1] + 8, 16, 1]), '"b" is encrypted'],
    "a size that differs from the stored one": [changed([central[0] + 24, 32, 400]), '"a" has no sound size'],
    "an entry over the next": [
      changed([central[0] + 20, 32, 60], [central[0] + 24, 32, 60]),
      '"a" overlaps what follows it',
    ],
    "an entry over the next by one byte": [
      changed([central[0] + 20, 32, gap + 1], [central[0] + 24, 32, gap + 1]),
      '"a" overlaps what follows it',
    ],
    "an entry over the directory": [
      changed([central[1] + 20, 32, 2 ** 31], [central[1] + 24, 32, 2 ** 31]),
      '"b" overlaps what follows it',
    ],
    "two entries on the same bytes": [changed([central[1] + 42, 32, local[0]]), "overlaps what follows it"],
    "two entries of one name": [
      changed([central[1] + 46, 16, 0x61 | (sound[central[1] + 47] << 8)]),
      'it has two entries called "a"',
    ],
    "an entry that begins elsewhere": [changed([central[0] + 42, 32, 1]), '"a" has no header at byte 1'],
    "an entry beyond the file": [changed([central[1] + 42, 32, 2 ** 32 - 2]), '"b" overlaps what follows it'],
    "a zip64 size without its field": [changed([central[0] + 24, 32, 2 ** 32 - 1]), '"a" has no sound size'],
    "a header of another name": [changed([local[0] + 30, 16, 0x7a]), "contradicts the directory"],
    "a compressed entry under a stored one's name": [changed([local[0] + 8, 16, 8]), "contradicts the directory"],
    "a longer extra field": [changed([local[0] + 28, 16, 0xffff]), '"a" overlaps what follows it'],
    "a directory that claims more entries": [changed([end + 10, 16, 3]), "has 2 entries and claims 3"],
    "a directory elsewhere": [changed([end + 16, 32, 0]), "its directory is not where its end record says"],
    "a directory of 4 GiB": [changed([end + 12, 32, 2 ** 32 - 1]), "its directory is not where its end record says"],
    "a name longer than the directory": [changed([central[1] + 28, 16, 0xffff]), "its directory is damaged at byte"],
  };
  test.each(Object.entries(cases))("%s", async (_, [bytes, message]) => {
    expect(await refusal(bytes)).toContain(message);
  });

  test("a changed byte of the content is found by its CRC", async () => {
    const at = Buffer.from(sound).indexOf("aaaa");
    expect(await refusal(changed([at, 16, 0]))).toContain('"a" does not match its CRC-32: the file was damaged');
  });
});
