/** Records that are handed on while their files are read: in order, a batch at a time, and only if they are going to be used. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { writtenRecords } from "../test/written_records.ts";
import { prepareTokens } from "./prepare.ts";
import { readRecords, streamRecords } from "./records.ts";
import { loadTemplate } from "./templates.ts";
import { createTokenizer } from "./tokenizer.ts";

const COUNT = 2500;
const items = Array.from({ length: COUNT }, (_, i) => ({ instruction: `ab ${i}`, input: "", output: "c".repeat(40) }));

async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-streaming-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

const jsonLines = (records: readonly object[]) => records.map((record) => JSON.stringify(record)).join("\n");

test("every form is handed on in batches, one after the other, with how much of all files was read [D-large-stream]", async () => {
  const files = writtenRecords(items);
  const folder = await folderWith(files);
  for (const name of Object.keys(files)) {
    const paths = [join(folder, name), join(folder, "lines.jsonl")];
    const [batches, shares]: [number[], number[]] = [[], []];
    let isTaking = false;
    const seen: unknown[] = [];
    await streamRecords(paths, {}, async (records, _places, share) => {
      expect(isTaking).toBe(false);
      isTaking = true;
      await new Promise((resolve) => setImmediate(resolve));
      isTaking = false;
      batches.push(records.length);
      shares.push(share);
      seen.push(...records);
    });
    expect(seen, name).toEqual([...items, ...items]);
    expect(Math.max(...batches), name).toBeLessThan(COUNT / 2);
    expect(shares, name).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.at(-1), name).toBe(1);
    expect(shares[0], name).toBeLessThan(0.9);
  }
});

test("records of data that is refused are handed on up to its first fault, and all of it is read for the error", async () => {
  const lines = items.map((item, i) => (i === 1700 || i === 2400 ? { ...item, output: null } : item));
  const folder = await folderWith({ "a.jsonl": jsonLines(lines), "b.jsonl": jsonLines(items) });
  let taken = 0;
  const take = async (records: readonly unknown[]) => {
    taken += records.length;
  };
  await expect(streamRecords(folder, {}, take)).rejects.toThrow(`Cannot use 2 of ${2 * COUNT} records`);
  expect(taken).toBeGreaterThan(500);
  expect(taken).toBeLessThanOrEqual(1700);
  taken = 0;
  const facts = await streamRecords(folder, { skipBad: true }, take);
  expect([taken, facts.skipped]).toEqual([2 * COUNT - 2, 2]);
});

test("what taking them throws ends the reading, and is no fault of the file", async () => {
  const folder = await folderWith({ "a.jsonl": jsonLines(items) });
  const full = new Error("the disk is full");
  let calls = 0;
  const stopping = streamRecords(folder, {}, async () => {
    calls++;
    throw full;
  });
  await expect(stopping).rejects.toBe(full);
  expect(calls).toBe(1);
});

test("tokens are made while records are read: progress counts, and estimates how many there will be", async () => {
  const folder = await folderWith({ "a.jsonl": jsonLines(items) });
  const calls: [number, number][] = [];
  const prepared = await prepareTokens({
    paths: folder,
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: await loadTemplate("plain"),
    rule: "response",
    maxLength: 40,
    onProgress: (done, total) => calls.push([done, total]),
  });
  expect(prepared.stats.samples).toBe(COUNT);
  expect(calls.at(-1)).toEqual([COUNT, COUNT]);
  const estimates = calls.map(([, total]) => total);
  expect(estimates.some((total) => total !== COUNT)).toBe(true); // not known yet
  for (const total of estimates) expect(Math.abs(total - COUNT)).toBeLessThan(0.1 * COUNT);
});

test("a bad record at the end is said, not the chat that the template refused before it", async () => {
  const chat = (text: string) => ({
    messages: [
      { role: "user", content: text },
      { role: "assistant", content: "b" },
    ],
  });
  const refusing =
    "{% for m in messages %}{% if m.content == 'x' %}{{ raise_exception('not x') }}{% endif %}{{ m.content }}</s>{% endfor %}";
  const chats = Array.from({ length: 1200 }, (_, i) => chat(i === 3 ? "x" : "a"));
  const folder = await folderWith({
    "t.jinja": refusing,
    "late.jsonl": jsonLines([...chats, { messages: [] }]),
    "good.jsonl": jsonLines(chats),
    "broken.csv": 'instruction,output\n"a',
  });
  const tokenizer = createTokenizer(tinyTokenizerFiles());
  const template = await loadTemplate(join(folder, "t.jinja"), tokenizer);
  const of = (...names: string[]) =>
    prepareTokens({
      paths: names.map((name) => join(folder, name)),
      tokenizer,
      template,
      rule: "response",
      maxLength: 50,
    });
  await expect(of("late.jsonl")).rejects.toThrow(/^Cannot use 1 of 1201 records .*an empty list/s);
  await expect(of("good.jsonl", "broken.csv")).rejects.toThrow(/^Cannot read the data: .*broken\.csv: a quote/s);
  await expect(of("good.jsonl")).rejects.toThrow(/^Cannot use 1 of the first 256 of 1200 records/);
});

test("reading all at once gives what streaming gives", async () => {
  const folder = await folderWith({ "a.jsonl": jsonLines(items) });
  const { records, places } = await readRecords(folder, { chats: true });
  expect(records).toEqual(items);
  expect(places.map(({ line }) => line)).toEqual(items.map((_, i) => i + 1));
});
