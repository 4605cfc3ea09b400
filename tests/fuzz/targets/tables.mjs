/** Tables, and what is compressed: every row is a record or a problem, and the same again. */
import { deepStrictEqual, ok } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readRecords } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const at = (name) => join(folder.path, name);

export const corpus = () => filesOf("tests/fuzz/corpus/tables");

export async function check(bytes) {
  writeFileSync(at("data.csv"), bytes);
  const { records, skipped } = await readRecords(at("data.csv"), { skipBad: true });
  ok(records.length > 0 && skipped >= 0);
  for (const { instruction, output } of records) ok(instruction.trim() !== "" && typeof output === "string");
  if (bytes[0] !== 0x1f) return;
  const unfolded = gunzipSync(bytes);
  writeFileSync(at("unfolded.csv"), unfolded);
  deepStrictEqual((await readRecords(at("unfolded.csv"), { skipBad: true })).records, records);
}
