/** Records of a file of a task: a JSON list, or objects one after another. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { readRegularFile } from "@zerogate/core/node";
import type { DataFile } from "../data_files.ts";
import { parseJson, parseValues } from "../json_values.ts";
import { firstNotUtf8 } from "../not_utf8.ts";
import { isObject } from "../record.ts";
import { addProblem, type Place, type ProblemList, quote } from "../record_problems.ts";
import type { TaskRecord } from "./definition.ts";

/** A record and where it stands. */
export interface PlacedRecord {
  readonly record: TaskRecord;
  readonly place: Place;
}

/** V8's longest string has 2²⁹ − 24 characters. */
const MAX_BYTES = 400_000_000;

/** Reads all records; what is no object goes to `problems`. @throws Error that says what is wrong with the file. */
export async function readTaskRecords(
  path: string,
  problems: ProblemList,
): Promise<{ readonly records: readonly PlacedRecord[]; readonly file: DataFile }> {
  const { size } = await stat(path);
  if (size > MAX_BYTES)
    throw new Error(`it has ${size} bytes, at most ${MAX_BYTES} are read: make several files of it`);
  const bytes = await readRegularFile(path);
  const fault = firstNotUtf8(bytes);
  if (fault) throw new Error(`line ${fault.line} holds the byte ${fault.byte}, which is not UTF-8: save it as UTF-8`);
  const records: PlacedRecord[] = [];
  for (const { value, place } of valuesOf(new TextDecoder().decode(bytes), path, problems)) {
    if (isObject(value)) records.push({ record: value, place });
    else addProblem(problems, place, { found: "no object", expected: "a record with the fields of its task" });
  }
  return { records, file: { path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") } };
}

function valuesOf(
  text: string,
  file: string,
  problems: ProblemList,
): readonly { readonly value: unknown; readonly place: Place }[] {
  const parsed = parseValues(text);
  if (parsed) return parsed.values.map((value, index) => ({ value, place: { file, index } }));
  return text.split("\n").flatMap((written, i) => {
    const place = { file, line: i + 1 };
    if (written.trim() === "") return [];
    try {
      return [{ value: parseJson(written), place }];
    } catch {
      const found = `${quote(written.trim())}, which is not JSON`;
      addProblem(problems, place, { kind: "not JSON", found, expected: "one object a line" });
      return [];
    }
  });
}
