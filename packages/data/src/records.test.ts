import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { readRecords } from "./records.ts";

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "zerogate-records-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}
async function dataFile(content: string | Uint8Array, name = "data.json"): Promise<string> {
  const path = join(await folder(), name);
  await writeFile(path, content);
  return path;
}
const good = { instruction: "Say hi.", input: "", output: "Hi." };
const lines = (...items: unknown[]) => items.map((item) => JSON.stringify(item)).join("\n");

test("a JSON array is read with absent, null and given inputs", async () => {
  const { input: _, ...noInput } = good;
  const content = JSON.stringify([noInput, { ...good, input: null }, { ...good, input: "x", id: 7 }]);
  const path = await dataFile(content);
  const { records, files, skipped } = await readRecords(path);
  expect(records).toEqual([good, good, { ...good, input: "x" }]);
  expect(files).toEqual([{ path, bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") }]);
  expect(skipped).toBe(0);
});

test("JSONL is read under any name, with any line ends, empty lines and a byte order mark [T-C6]", async () => {
  const content = `\ufeff${JSON.stringify(good)}\r\n\r\n${JSON.stringify({ ...good, output: "é 你" })}\n\n`;
  for (const name of ["data.jsonl", "data.json", "data"]) {
    const { records } = await readRecords(await dataFile(content, name));
    expect(records).toEqual([good, { ...good, output: "é 你" }]);
  }
});

test("a JSON array is an array under any name, with a byte order mark and spaces in front [T-C6]", async () => {
  const { records } = await readRecords(await dataFile(`\ufeff \n${JSON.stringify([good])}`, "data.jsonl"));
  expect(records).toEqual([good]);
});

test("several files and folders are read in order, a folder by the names in it", async () => {
  const path = await folder();
  await mkdir(join(path, "inner.json.d"));
  for (const name of ["b.jsonl", "a.json", "notes.txt"])
    await writeFile(join(path, name), lines({ ...good, output: name }));
  const last = await dataFile(lines({ ...good, output: "last" }));
  const { records } = await readRecords([path, last]);
  expect(records.map(({ output }) => output)).toEqual(["a.json", "b.jsonl", "last"]);
});

test("any records survive both formats, wherever the pieces of the stream are cut", async () => {
  const text = fc.string({ unit: "grapheme", minLength: 1 }).filter((s) => s.trim() !== "");
  const record = fc.record({ instruction: text, input: fc.string({ unit: "grapheme" }), output: text });
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async (records) => {
      expect((await readRecords(await dataFile(JSON.stringify(records)))).records).toEqual(records);
      expect((await readRecords(await dataFile(lines(...records)))).records).toEqual(records);
    }),
    { numRuns: 20 },
  );
  const long = { ...good, output: "äö".repeat(100_000) }; // longer than a piece of the stream, odd character bounds
  expect((await readRecords(await dataFile(lines(good, long, good)))).records).toEqual([good, long, good]);
});

test("bad records are named by line, field, what was found and what was expected", async () => {
  const bad = [{ instruction: "a" }, { ...good, instruction: 3 }, [], { ...good, input: {} }, { output: "x" }];
  const path = await dataFile(`${lines(good, ...bad)}\nnot JSON \u001b[31m\n{"instruction":"a","output":"\\ud800"}`);
  const problem = await readRecords(path).catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(InputError);
  expect((problem as Error).message.replaceAll(path, "F")).toBe(
    [
      "Cannot use 7 of 8 records (skip bad records to leave such out):",
      '  - F, line 2, field "output": found nothing, expected a text',
      '  - F, line 3, field "instruction": found a value of type number, expected a text that is not empty',
      "  - F, line 4: found an array, expected an object with instruction and output",
      '  - F, line 5, field "input": found a value of type object, expected a text or nothing',
      '  - F, line 6, field "instruction": found nothing, expected a text that is not empty',
      '  - F, line 7: found "not JSON \\u001b[31m", which is not JSON, expected one object a line',
      '  - F, line 8, field "output": found half of a surrogate pair (\\ud800 … \\udfff), expected whole characters',
    ].join("\n"),
  );
});

test("the same problem of many records is one line with its count and the first of them [T-C7]", async () => {
  const bad = [...Array.from({ length: 30 }, () => ({ ...good, output: null })), { ...good, input: 3 }];
  const path = await dataFile(JSON.stringify([good, ...bad]));
  const error = (await readRecords(path).catch((e: unknown) => e)) as InputError;
  expect(error.message).toContain("Cannot use 31 of 32 records");
  expect(error.problems).toEqual([
    `${path}, records 1, 2, 3, 4, 5 and 25 more, field "output": found null, expected a text`,
    `${path}, record 31, field "input": found a value of type number, expected a text or nothing`,
  ]);
  const texts = await dataFile(`${lines(good)}\nhello\nand more\nlast\n`);
  await expect(readRecords(texts)).rejects.toThrow(
    `${texts}, lines 2, 3 and 4: found for example "hello", which is not JSON, expected one object a line`,
  );
});

test("at most 20 problems are listed, and the records of all others are counted [T-C7]", async () => {
  const paths = await Promise.all(
    Array.from({ length: 23 }, (_, i) => dataFile(lines(good, { ...good, output: i }, { ...good, output: i }))),
  );
  const error = (await readRecords(paths).catch((e: unknown) => e)) as InputError;
  expect(error.problems).toHaveLength(21);
  expect(error.problems[20]).toBe("and 6 more");
  expect((await readRecords(paths, { skipBad: true })).skipped).toBe(46);
});

test("skipBad leaves bad records out and counts them, but not a file that cannot be read", async () => {
  const path = await dataFile(lines(good, { ...good, output: null }, good));
  const { records, skipped, problems } = await readRecords(path, { skipBad: true });
  expect([records.length, skipped, problems[0]?.line]).toEqual([2, 1, 2]);
  await expect(readRecords(await dataFile("[1, 2"), { skipBad: true })).rejects.toThrow(InputError);
});

test("files that cannot be read are all named at once", async () => {
  const notUtf8 = await dataFile(
    Buffer.concat([Buffer.from('[\n{"instruction":"\ufffd'), Buffer.of(0xff), Buffer.from('"}]')]),
  );
  const cut = await dataFile(JSON.stringify([good]).slice(0, -5));
  const error = (await readRecords([notUtf8, cut]).catch((e: unknown) => e)) as InputError;
  expect(error.problems[0]).toBe(
    `${notUtf8}: line 2 holds the byte 0xFF, which is not UTF-8: save the file as UTF-8, or if it is Latin-1: ` +
      `iconv -f WINDOWS-1252 -t UTF-8 ${notUtf8} > ${notUtf8.replace(/json$/, "fixed.json")}`,
  );
  expect(error.problems[1]).toBe(`${cut}: record 0 (line 1) is cut off: the file ends inside it, copy it again`);
  const missing = join(await folder(), "missing.json");
  await expect(readRecords([missing, await folder()])).rejects.toThrow(
    /there is no such file[^]*a folder without a file of data/,
  );
});

test("a JSONL line that is not UTF-8 is a bad record of its own, named with its line and byte [T-C6]", async () => {
  const path = await dataFile(
    Buffer.concat([Buffer.from(`${lines(good)}\n`), Buffer.of(0xc3, 0x28), Buffer.from(`\n${lines(good)}`)]),
  );
  const { records, problems } = await readRecords(path, { skipBad: true });
  expect(records).toHaveLength(2);
  expect(problems).toMatchObject([{ file: path, line: 2, found: "the byte 0xC3" }]);
  const latin1 = await dataFile(Buffer.from(lines(good, { ...good, output: "é" }, { ...good, output: "ß" }), "latin1"));
  await expect(readRecords(latin1)).rejects.toThrow(
    `lines 2 and 3: found for example the byte 0xE9, expected UTF-8 (if the file is Latin-1: iconv -f WINDOWS-1252`,
  );
});

test("lines that are no JSON or not UTF-8 are bad records beside foreign ones, which are not all of the file then", async () => {
  for (const line of [Buffer.from([0x22, 0xe9, 0x22]), Buffer.from("oh no")]) {
    const path = await dataFile(Buffer.concat([Buffer.from('{"prompt": "a"}\n'), line, Buffer.from("\n")]));
    const error: unknown = await readRecords(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).message).toMatch(/^Cannot use 2 of 2 records/);
  }
});

test("data without a usable record is refused", async () => {
  for (const content of ["[]", "", "\n\n", "\ufeff"]) {
    await expect(readRecords(await dataFile(content))).rejects.toThrow("no usable record, at least 1 is needed");
  }
});

test("a file is hashed and counted byte by byte, in any form [T-E6]", async () => {
  const long = { ...good, output: "ä".repeat(100_000) };
  for (const content of [
    lines(good, long),
    `${lines(good)}\n`,
    JSON.stringify([good]),
    JSON.stringify(good, null, 2),
  ]) {
    const path = await dataFile(content);
    const sha256 = createHash("sha256").update(content).digest("hex");
    expect((await readRecords(path)).files).toEqual([{ path, bytes: Buffer.byteLength(content), sha256 }]);
  }
});

test("60 characters of a text are quoted, of a longer one the first 60 [T-E6]", async () => {
  for (const [text, quoted] of [
    ["x".repeat(60), `"${"x".repeat(60)}"`],
    ["x".repeat(61), `"${"x".repeat(60)}…"`],
  ] as const) {
    const path = await dataFile(`${lines(good)}\n${text}`);
    await expect(readRecords(path)).rejects.toThrow(`line 2: found ${quoted}, which is not JSON`);
  }
});

test("a line of sixteen million bytes is looked at, one of a byte more is not", async () => {
  const line = (length: number) => dataFile(`"${"x".repeat(length - 2)}"`);
  await expect(readRecords(await line(16_000_000))).rejects.toThrow("line 1: found the text");
  await expect(readRecords(await line(16_000_001))).rejects.toThrow("line 1 is longer than 16000000 bytes");
});

test("a line that never ends is refused before it fills the memory", async () => {
  const path = await dataFile(Buffer.alloc(17_000_000, "a"), "data.jsonl");
  await expect(readRecords(path, { skipBad: true })).rejects.toThrow("line 1 is longer than 16000000 bytes");
});

test("a field too long for any model is a bad record", async () => {
  const path = await dataFile(JSON.stringify([{ ...good, output: "a".repeat(1_000_001) }]));
  await expect(readRecords(path)).rejects.toThrow("found 1000001 characters, expected at most 1000000");
});

test("an empty output is an answer: the end at once", async () => {
  const { records } = await readRecords(await dataFile(lines({ ...good, output: "" })));
  expect(records[0]?.output).toBe("");
});

test("fields that hold something and are not read are counted by name [T-C7, T-case23]", async () => {
  const path = await dataFile(
    JSON.stringify([
      { ...good, system: "Be short.", history: [["a", "b"]], id: 0 },
      { ...good, system: "Be short.", history: [], id: 1, note: "  ", tags: {}, none: null },
      { ...good, system: "", history: [], output: 3, only: "in a bad record" },
    ]),
  );
  expect((await readRecords(path, { skipBad: true })).unread).toEqual([
    { name: "id", records: 2 },
    { name: "system", records: 2 },
    { name: "history", records: 1 },
  ]);
});
