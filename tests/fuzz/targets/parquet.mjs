/** Parquet: what is read has as many rows as its description says, and texts or other values of JSON in them. */
import { ok, strictEqual } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRecords } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const path = join(folder.path, "data.parquet");

export const corpus = () => filesOf("tests/fuzz/corpus/parquet");

export async function check(bytes) {
  writeFileSync(path, bytes);
  const { records, files } = await readRecords(path, { skipBad: true, chats: true });
  for (const record of records)
    ok("messages" in record ? record.messages.length > 0 : record.instruction.trim() !== "");
  strictEqual(files[0].bytes, bytes.length);
}
