/** A split of ScienceQA as records. */
import { join } from "node:path";
import type { DataSource } from "../data_sources.ts";
import { addRecord, type Reading } from "../reading.ts";
import { addProblem, type Place } from "../record_problems.ts";
import { PROBLEMS, readScienceCaptions, readScienceSplit } from "./problems.ts";
import { type ScienceFormat, scienceRecord } from "./text.ts";

/** Adds a record for each problem of a split, in the order of pid_splits.json. */
export async function addScienceRecords(
  { folder, split, captions }: Extract<DataSource, { readonly kind: "scienceqa" }>,
  format: ScienceFormat,
  reading: Reading,
  imageRoot: string,
): Promise<void> {
  const placeOf = (id: string): Place => ({ file: join(folder, PROBLEMS), index: Number.parseInt(id, 10) || 0 });
  const captionOf = captions ? await readScienceCaptions(folder) : new Map<string, string>();
  const { problems, faults } = await readScienceSplit(folder, split);
  for (const problem of problems) {
    const record = scienceRecord(problem, { format, caption: captionOf.get(problem.id) });
    addRecord(record, { image: problem.image }, placeOf(problem.id), reading, imageRoot);
  }
  for (const { id, fault } of faults) addProblem(reading.problems, placeOf(id), fault);
}
