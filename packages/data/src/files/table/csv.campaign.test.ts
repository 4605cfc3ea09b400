/** Rows without end: seconds each, until they are refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openByteSource } from "../byte_source.ts";
import { tableRows } from "./csv.ts";

async function readAll(content: Uint8Array): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-csv-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "endless.csv");
  writeFileSync(path, content);
  for await (const batch of tableRows(await openByteSource(path), ",")) expect(batch.length).toBeGreaterThan(0);
}

test("a row that never ends is refused before it fills the memory [D-file-csv]", async () => {
  const open = Buffer.concat([Buffer.from('a,b\n1,"'), Buffer.alloc(40_000_000, "x\n")]);
  await expect(readAll(open)).rejects.toThrow("is longer than 16000000 bytes, is a quote never closed");
  await expect(readAll(Buffer.alloc(40_000_000, "x"))).rejects.toThrow("is longer than 16000000 bytes");
});
