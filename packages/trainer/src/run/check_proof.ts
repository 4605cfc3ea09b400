/** Whether a run may go on from a checkpoint: only from what its receipt proves, or if somebody agrees to go on without. */
import { basename } from "node:path";
import { DamagedError, type ModelConfig } from "@zerogate/core";
import { ownCommand } from "@zerogate/run-config";
import { type Checkpoint, checkpointFolder, loadReceipt, proofOf, receiptPath } from "@zerogate/run-files";
import type { AcceptedChange } from "./accepted.ts";

export interface Agreement {
  /** Whether somebody agrees to go on without the receipt's line. */
  readonly isAccepted: (change: AcceptedChange) => boolean;
  /** Receives what the receipt of an earlier version does not prove. */
  readonly onNote: (message: string) => void;
}

/** For a run that is under way: its own receipt is open, and reports what it lost. */
export const underWay: Agreement = { isAccepted: () => true, onNote: () => {} };

/**
 * Compares the checkpoint in `folder` with the receipt. Where the receipt lacks its line, that is returned as a change, which
 * `isAccepted` must agree to.
 *
 * @throws DamagedError with what differs, or with what is missing and was not accepted.
 */
export async function checkProof(
  runDir: string,
  folder: string,
  checkpoint: Checkpoint,
  model: ModelConfig,
  { isAccepted, onNote }: Agreement,
): Promise<readonly AcceptedChange[]> {
  const receipt = loadReceipt(runDir);
  const name = basename(folder);
  const attempt = `Cannot go on from ${folder}`;
  const proof = proofOf(receipt, checkpoint, model);
  if (proof.kind !== "known") {
    const change = { field: "receipt", was: checkpoint.state.receipt, is: "not there" };
    if (isAccepted(change)) return [change];
    const flag = "--accept-change receipt";
    throw new DamagedError(
      `${attempt}: ${stateOf(receipt, runDir, name)}, so nothing proves what was trained up to there. To go on all the same, with this recorded in the run: ${flag}`,
    );
  }
  const isMoved = folder !== checkpointFolder(runDir, checkpoint.state.step);
  const problems = [...(isMoved ? [`its state is that of step ${checkpoint.state.step}`] : []), ...proof.problems];
  for (const note of proof.notes) onNote(`${name}: ${note}`);
  if (problems.length === 0) return [];
  const advice = `take up an earlier one with: ${ownCommand`rewind ${runDir}`} --to STEP`;
  throw new DamagedError(`${attempt}:${[...problems, advice].map((line) => `\n  - ${line}`).join("")}`);
}

function stateOf({ lines, problem }: ReturnType<typeof loadReceipt>, runDir: string, name: string): string {
  const path = receiptPath(runDir);
  if (lines.length === 0 && problem === undefined) return `${path} is missing`;
  if (problem !== undefined) return `${path} is damaged (${problem}) before the line that ${name} knows`;
  return `${path} has no line that ${name} knows: it is another run's, or lost its end`;
}
