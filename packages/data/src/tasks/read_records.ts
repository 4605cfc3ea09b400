/** Records of a file of a task, in any form that training data may have. */
import type { DataFile } from "../data_files.ts";
import { openByteSource } from "../files/byte_source.ts";
import { openItems } from "../files/open_items.ts";
import { isObject } from "../record.ts";
import { addProblem, type Place, type ProblemList } from "../record_problems.ts";
import type { TaskRecord } from "./definition.ts";

/** A record and where it stands. */
export interface PlacedRecord {
  readonly record: TaskRecord;
  readonly place: Place;
}

/** Reads all records; what is no object goes to `problems`. @throws Error that says what is wrong with the file. */
export async function readTaskRecords(
  path: string,
  problems: ProblemList,
): Promise<{ readonly records: readonly PlacedRecord[]; readonly file: DataFile }> {
  const source = await openByteSource(path);
  const opened = await openItems(source, { isRecord: () => true, columns: (names) => names });
  const records: PlacedRecord[] = [];
  for await (const items of opened.items) {
    for (const item of items) {
      if ("fault" in item) addProblem(problems, item.place, item.fault);
      else if (isObject(item.value)) records.push({ record: item.value, place: item.place });
      else addProblem(problems, item.place, { found: "no object", expected: "a record with the fields of its task" });
    }
  }
  return { records, file: await source.identify() };
}
