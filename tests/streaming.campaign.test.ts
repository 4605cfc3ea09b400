/** Files larger than memory should hold are tokenised in bounded memory: records are encoded while their file is read. */
import { execFile } from "node:child_process";
import { closeSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { base, records } from "./support/world.ts";

const folder = testFolder();
const script = fileURLToPath(new URL("support/prepare_peak.mjs", import.meta.url));

/** Writes records of which most bytes are a field that nobody reads. */
function writeLines(path: string, bytes: number): number {
  const some = records("train.json", 1000);
  const file = openSync(path, "w");
  let count = 0;
  for (let written = 0; written < bytes; ) {
    const lines = some.map((record, i) => `${JSON.stringify({ ...record, id: count + i, source: "s".repeat(300) })}\n`);
    written += writeSync(file, lines.join(""));
    count += some.length;
  }
  closeSync(file);
  return count;
}

/** A heap in which all records of the large file together have no room. */
const HEAP_MEGABYTES = 96;

async function prepare(path: string) {
  const args = [`--max-old-space-size=${HEAP_MEGABYTES}`, script, base, path, join(folder, "cache"), "16"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 840_000 });
  return JSON.parse(stdout) as { records: number; isOnDisk: boolean; peakBytes: number; seconds: number };
}

test("500 MB of records are tokenised within a heap of 96 MB [D-large-stream]", async () => {
  const path = join(folder, "large.jsonl");
  const count = writeLines(path, 500e6);
  expect(statSync(path).size).toBeGreaterThanOrEqual(500e6);
  const { records: made, isOnDisk, peakBytes, seconds } = await prepare(path);
  rmSync(path);
  expect([made, isOnDisk]).toEqual([count, true]);
  // Three threads with a tokenizer each, and some numbers of each record: its length, its targets, its number, its place.
  expect(peakBytes, `${made} records in ${seconds} s`).toBeLessThan(500e6);
});
