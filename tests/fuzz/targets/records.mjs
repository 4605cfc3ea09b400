/** Instruction files: what is accepted has the records that a plain reading finds; bad ones are left out only when asked. */
import { ok, strictEqual } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRecords } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const path = join(folder.path, "data.json");

export const corpus = () => filesOf("tests/fuzz/corpus/records");

export async function check(bytes) {
  writeFileSync(path, bytes);
  const fields = "own"; // other names are not what a plain reading finds
  const lenient = await readRecords(path, { skipBad: true, fields });
  for (const { instruction, input, output } of lenient.records) {
    ok(typeof input === "string" && typeof output === "string" && instruction.trim() !== "");
  }
  const strict = await readRecords(path, { fields });
  strictEqual(strict.skipped, 0);
  strictEqual(strict.records.length, lenient.records.length);
  const plain = plainly(new TextDecoder().decode(bytes));
  if (plain === undefined) return; // NaN, or records one after another: what is read of them is counted above
  if (plain.length === 1 && plain[0].instruction === undefined) return; // a list inside an object
  strictEqual(strict.records.length, plain.length);
  for (const [i, { instruction, output }] of plain.entries()) {
    strictEqual(strict.records[i].instruction, instruction);
    strictEqual(strict.records[i].output, output);
  }
}

/** What JSON.parse finds: a list, one object, or one a line. */
function plainly(text) {
  const whole = parsed(text);
  if (whole !== undefined) return Array.isArray(whole) ? whole : [whole];
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const values = lines.map(parsed);
  return values.includes(undefined) ? undefined : values;
}

function parsed(text) {
  try {
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}
