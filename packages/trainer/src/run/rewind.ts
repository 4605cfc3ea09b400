/** `zerogate rewind`: an earlier checkpoint becomes the newest state; what came later is kept in `RUN/rewound/N`. */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "@zerogate/core";
import { moveEntry, syncFile, syncFolder, verifyDirectory } from "@zerogate/core/node";
import { checkpointFolder, listCheckpoints, metricsPath, receiptPath } from "@zerogate/run-files";
import { moveLater, newRewoundFolder } from "./go_back.ts";

/** What a rewind has moved. */
export interface Rewound {
  /** Where the later state lies now; absent if there was none. */
  readonly folder?: string;
  /** Steps of the checkpoints that were moved there, newest first. */
  readonly moved: readonly number[];
}

/**
 * Makes the checkpoint of `step` steps the newest. Metrics and receipt are copied away first, so that a resume, which cuts
 * them back, loses none of their lines; then the results of a finished run and later checkpoints are moved, newest first: cut
 * short at any point, the run is whole and the command can be given again.
 *
 * @throws InputError if there is no such whole checkpoint.
 */
export async function rewindRun(runDir: string, step: number): Promise<Rewound> {
  const attempt = `Cannot rewind ${runDir} to step ${step}`;
  const steps = await listCheckpoints(runDir);
  if (!steps.includes(step)) {
    const there = steps.length > 0 ? `there are those of steps ${steps.toReversed().join(", ")}` : "there is none";
    throw new InputError(attempt, `there is no checkpoint of it: ${there}`);
  }
  const problems = await verifyDirectory(checkpointFolder(runDir, step));
  if (problems.length > 0) throw new InputError(attempt, problems);
  const results = ["adapter", "report.html"].map((name) => join(runDir, name)).filter((path) => existsSync(path));
  if (steps[0] === step && results.length === 0) return { moved: [] };

  const folder = await newRewoundFolder(runDir);
  for (const path of [metricsPath(runDir), receiptPath(runDir)]) {
    if (!existsSync(path)) continue;
    const copy = join(folder, basename(path));
    await copyFile(path, copy);
    await syncFile(copy);
  }
  await syncFolder(folder);
  for (const path of results) await moveEntry(path, join(folder, basename(path)));
  return { folder, moved: await moveLater(runDir, step, folder) };
}
