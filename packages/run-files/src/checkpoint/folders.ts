/** The checkpoints of a run as folders: which there are, which go, which is broken. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { moveEntry, removeEntry, temporarySibling } from "@zerogate/core/node";

const namePattern = /^step-(0|[1-9]\d{0,14})$/;
/** What a crash in the middle of a save or of a removal leaves behind, in the run and in its checkpoints. */
const leftoverPattern = /^\.(?!lock-).*\.tmp$/;
/** A lock that is being made may be that of another starter. */
const lockLeftoverPattern = /^\.lock-\d+\.(\d+)\.[0-9a-f]+\.tmp$/;

const checkpointsOf = (runDir: string): string => join(runDir, "checkpoints");

/** Returns the folder of the checkpoint after `step` steps. */
export function checkpointFolder(runDir: string, step: number): string {
  return join(checkpointsOf(runDir), `step-${step}`);
}

/** Steps that have a checkpoint folder, newest first; nothing inside them is read. */
export async function listCheckpoints(runDir: string): Promise<number[]> {
  const steps = (await entries(runDir)).flatMap((entry) => {
    const match = entry.isDirectory() ? namePattern.exec(entry.name) : null;
    return match ? [Number(match[1])] : [];
  });
  return steps.toSorted((a, b) => b - a);
}

/** Which checkpoints stay. */
export interface KeepRule {
  /** How many of the newest stay. */
  readonly newest: number;
  /** Those at multiples of it; 0 = none. */
  readonly every: number;
  readonly best: number | undefined;
  /** The newest one up to this step, where a rollback would go to, and all after it, where later rollbacks would. */
  readonly upTo: number | undefined;
}

/** Removes all checkpoints but those of the rule. Returns the steps that are gone. */
export async function pruneCheckpoints(runDir: string, { newest, every, best, upTo }: KeepRule): Promise<number[]> {
  const steps = await listCheckpoints(runDir);
  const from = upTo === undefined ? Number.POSITIVE_INFINITY : (steps.find((step) => step <= upTo) ?? 0);
  const old = steps.slice(newest).filter((step) => step !== best && step < from && !(every > 0 && step % every === 0));
  for (const step of old) {
    // Out of the way first: a removal that is cut short must not leave half a checkpoint.
    const doomed = temporarySibling(checkpointFolder(runDir, step));
    await moveEntry(checkpointFolder(runDir, step), doomed);
    await removeEntry(doomed);
  }
  return old;
}

/** Removes what crashed saves left. Only for the one process that writes to the run. */
export async function removeLeftovers(runDir: string): Promise<void> {
  for (const { name } of await entries(runDir)) {
    if (leftoverPattern.test(name)) await removeEntry(join(checkpointsOf(runDir), name));
  }
  for (const name of await readdir(runDir)) {
    const pid = lockLeftoverPattern.exec(name)?.[1];
    if (leftoverPattern.test(name) || (pid !== undefined && !isRunning(Number(pid))))
      await removeEntry(join(runDir, name));
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Renames a broken checkpoint to `step-N.corrupt` (`.corrupt-2`, … if that is taken): kept for inspection. */
export async function setAside(runDir: string, step: number): Promise<string> {
  const taken = new Set((await entries(runDir)).map(({ name }) => name));
  let name = `step-${step}.corrupt`;
  for (let i = 2; taken.has(name); i++) name = `step-${step}.corrupt-${i}`;
  const aside = join(checkpointsOf(runDir), name);
  await moveEntry(checkpointFolder(runDir, step), aside);
  return aside;
}

/** Whether a broken checkpoint was set aside: such a run had progress, which must not be lost in silence. */
export async function holdsBroken(runDir: string): Promise<boolean> {
  return (await entries(runDir)).some(({ name }) => name.includes(".corrupt"));
}

async function entries(runDir: string) {
  try {
    return await readdir(checkpointsOf(runDir), { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
