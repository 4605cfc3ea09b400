/** Taking up an earlier state of a run. Nothing is deleted: what came later is moved to `RUN/rewound/N`. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ModelConfig } from "@zerogate/core";
import { makeFolder, moveEntry, verifyDirectory } from "@zerogate/core/node";
import type { SkippedStep } from "@zerogate/run-files";
import { type Checkpoint, checkpointFolder, listCheckpoints, loadCheckpoint, setAside } from "@zerogate/run-files";
import { checkProof, underWay } from "./check_proof.ts";
import type { Rollback } from "./standing.ts";

/**
 * The newest whole checkpoint of at most `step` steps, none if the run must start again; later ones are moved away.
 * DamagedError if the receipt says otherwise. From there the steps up to `step` come out as before, bit for bit, because they are a function of the checkpoint.
 */
export async function goBack(
  runDir: string,
  model: ModelConfig,
  step: number,
  onWarning: (message: string) => void,
): Promise<Checkpoint | undefined> {
  if ((await listCheckpoints(runDir)).some((later) => later > step)) {
    await moveLater(runDir, step, await newRewoundFolder(runDir));
  }
  for (const earlier of await listCheckpoints(runDir)) {
    const folder = checkpointFolder(runDir, earlier);
    const problems = await verifyDirectory(folder);
    if (problems.length === 0) {
      const checkpoint = await loadCheckpoint(folder, model);
      await checkProof(runDir, folder, checkpoint, model, underWay);
      return checkpoint;
    }
    onWarning(
      `Cannot use the checkpoint ${folder}: ${problems.join("; ")}. It is kept as ${await setAside(runDir, earlier)}`,
    );
  }
  onWarning(
    `there is no checkpoint of ${step} steps or less: the run does them again from its first step, to the same bits`,
  );
  return undefined;
}

/** Adds the steps that a rollback skips, each with the reason of the bad one. */
export function skipRange(skipped: readonly SkippedStep[], { to, bad, reason }: Rollback): SkippedStep[] {
  const range = Array.from({ length: bad - to + 1 }, (_, i) => {
    return { step: to + i, reason: to + i === bad ? reason : `rolled back because of step ${bad + 1}` };
  });
  const known = skipped.filter(({ step }) => step < to);
  return [...known, ...range.map((entry) => skipped.find(({ step }) => step === entry.step) ?? entry)];
}

/** Makes `RUN/rewound/N`, N counting up. */
export async function newRewoundFolder(runDir: string): Promise<string> {
  const parent = join(runDir, "rewound");
  await makeFolder(parent);
  const numbers = (await readdir(parent)).map(Number).filter(Number.isInteger);
  const folder = join(parent, String(Math.max(0, ...numbers) + 1));
  await makeFolder(folder);
  return folder;
}

/** Moves checkpoints of more than `step` steps, newest first: cut short, what is left is still a run. */
export async function moveLater(runDir: string, step: number, into: string): Promise<number[]> {
  const later = (await listCheckpoints(runDir)).filter((other) => other > step);
  for (const other of later) {
    const folder = checkpointFolder(runDir, other);
    await moveEntry(folder, join(into, basename(folder)));
  }
  return later;
}
