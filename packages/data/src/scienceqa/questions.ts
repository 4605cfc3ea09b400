/** Problems of ScienceQA as they are asked, beside the records that training makes of the same paths. */
import { listSources } from "../data_sources.ts";
import type { InstructionRecord } from "../record.ts";
import type { ReadOptions } from "../records.ts";
import { readScienceCaptions, readScienceSplit, type ScienceProblem } from "./problems.ts";
import { scienceRecord } from "./text.ts";

/** In the order of the records that `readRecords` makes of the same paths. */
export interface ScienceQuestions {
  readonly problems: readonly ScienceProblem[];
  readonly records: readonly InstructionRecord[];
}

/** Returns the problems that `paths` stand for; undefined if not all of them are ScienceQA's. @throws as `readRecords` does. */
export async function readScienceQuestions(
  paths: readonly string[],
  options: ReadOptions,
): Promise<ScienceQuestions | undefined> {
  const problems: ScienceProblem[] = [];
  const records: InstructionRecord[] = [];
  for (const source of await listSources(paths, options)) {
    if (source.kind !== "scienceqa") return undefined;
    const captionOf = source.captions ? await readScienceCaptions(source.folder) : new Map<string, string>();
    const own = (await readScienceSplit(source.folder, source.split)).problems;
    const format = options.scienceFormat ?? "QCM-A";
    problems.push(...own);
    records.push(...own.map((problem) => scienceRecord(problem, { format, caption: captionOf.get(problem.id) })));
  }
  return { problems, records };
}
