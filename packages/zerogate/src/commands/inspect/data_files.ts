/** Instruction data, or what is in the place of it. */
import { InputError } from "@zerogate/core";
import type { FileDescription } from "@zerogate/core/formats";
import { describeProblem, readRecords } from "@zerogate/data";
import type { Facts } from "./facts.ts";

const dataName = /\.(?:jsonl?|csv|tsv|parquet|arrow|feather|xlsx|txt)$/i;

/** Facts of a file, or of a folder of files, as `train --data` takes it, or what is there instead. */
export async function inspectData(path: string, described?: FileDescription): Promise<Facts> {
  try {
    const { records, files, skipped, problems, unread } = await readRecords(path, { skipBad: true });
    const lengths = records.map(({ output }) => output.length);
    return {
      kind: "dataset",
      path,
      what: "instruction data, for --data",
      files: files.length > 1 ? files.map((file) => file.path) : undefined,
      records: records.length,
      withInput: records.filter(({ input }) => input !== "").length,
      bad: skipped,
      problems: problems.map(describeProblem),
      fieldsNotRead: unread.map(({ name, records: count }) => `${name} (${count})`),
      meanOutputCharacters: lengths.reduce((a, b) => a + b, 0) / Math.max(1, lengths.length),
      first: records[0],
    };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const problem = error.problems.join("; ");
    if (dataName.test(path)) return { kind: "data", path, what: "data that cannot be trained on as it is", problem };
    const what = described?.what ?? "a file of no kind that zerogate knows";
    return { kind: described?.kind ?? "unknown", path, what, problem };
  }
}
