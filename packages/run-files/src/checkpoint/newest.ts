/** Where a resume starts: the newest checkpoint that is whole. */
import { DamagedError, type ModelConfig } from "@zerogate/core";
import { verifyDirectory } from "@zerogate/core/node";
import { ownCommand } from "@zerogate/run-config";
import { type Checkpoint, loadCheckpoint } from "./checkpoint.ts";
import { checkpointFolder, holdsBroken, listCheckpoints, removeLeftovers, setAside } from "./folders.ts";

/**
 * Loads the newest checkpoint whose files are as they were published. Broken newer ones are renamed `*.corrupt`, each
 * reported to `onProblem`; leftovers of crashed saves are removed.
 *
 * @returns undefined if the run never had one.
 * @throws DamagedError if none is left, InputError if the newest whole one does not fit this base or this version, and
 *   then nothing is renamed: the checkpoint is sound, what it was opened with is not.
 */
export async function newestCheckpoint(
  runDir: string,
  model: ModelConfig,
  onProblem: (problem: string) => void,
): Promise<(Checkpoint & { readonly folder: string }) | undefined> {
  await removeLeftovers(runDir);
  const steps = await listCheckpoints(runDir);
  if (steps.length === 0 && !(await holdsBroken(runDir))) return undefined;
  for (const step of steps) {
    const folder = checkpointFolder(runDir, step);
    const problems = await verifyDirectory(folder);
    if (problems.length === 0) return { folder, ...(await loadCheckpoint(folder, model)) };
    const aside = await setAside(runDir, step);
    onProblem(`Cannot use the checkpoint ${folder}: ${problems.join("; ")}. It is kept as ${aside}`);
  }
  const found =
    steps.length > 0 ? `none of its ${steps.length} checkpoints is whole` : "all its checkpoints were broken";
  throw new DamagedError(`Cannot resume ${runDir}: ${found}, start it again with ${ownCommand`train`}`);
}
