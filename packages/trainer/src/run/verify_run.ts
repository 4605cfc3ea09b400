/** Whether a run directory holds what was written: manifests, the receipt's chain, and that all of it tells one story. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { ModelConfig } from "@zerogate/core";
import { reason, verifyDirectory } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import type { ReadReceipt } from "@zerogate/run-files";
import {
  type Checkpoint,
  checkpointFolder,
  listCheckpoints,
  loadCheckpoint,
  loadReceipt,
  proofOf,
  readMetrics,
} from "@zerogate/run-files";
import { compareAdapter } from "./verify_adapter.ts";
import { configProblems, promptProblems } from "./verify_config.ts";

/** What comparing a run directory has found. */
export interface VerifiedRun {
  /** What was compared and found right, one sentence each. */
  readonly checked: readonly string[];
  /** What differs. */
  readonly problems: readonly string[];
  /** What could not be compared, and why. */
  readonly notes: readonly string[];
  /** Of the receipt's last line: one hash that stands for the whole run. */
  readonly chain: string | undefined;
}

type Findings = { -readonly [K in "checked" | "problems" | "notes"]: string[] };

/** Compares everything on disk; reads all checkpoints, trains nothing. */
export async function verifyRun(config: TrainConfig, model: ModelConfig): Promise<VerifiedRun> {
  const findings: Findings = { checked: [], problems: [], notes: [] };
  const runDir = config.out;
  const receipt = loadReceipt(runDir);
  checkReceipt(receipt, findings);
  checkMetrics(runDir, receipt, findings);
  const steps = await listCheckpoints(runDir);
  let newest: Checkpoint | undefined;
  let best: Checkpoint | undefined;
  for (const step of steps) {
    const checkpoint = await checkCheckpoint(checkpointFolder(runDir, step), config, model, receipt, findings);
    newest ??= checkpoint;
    if (step === newest?.state.best?.step) best = checkpoint;
  }
  if (steps.length === 0) findings.notes.push("there is no checkpoint");
  findings.problems.push(...(await configProblems(config, receipt)));
  checkPresence(receipt, steps, findings);
  await checkAdapter(config, newest, best, findings);
  return { ...findings, chain: receipt.lines.at(-1)?.chain };
}

/** A run makes its receipt before its first checkpoint, and a receipt says what its first parameters were. */
function checkPresence({ lines, problem }: ReadReceipt, steps: readonly number[], { problems, notes }: Findings): void {
  if (lines.length > 0 || problem) return;
  if (steps.length === 0) notes.push("there is no receipt.jsonl");
  else problems.push("receipt.jsonl is missing: nothing proves the numbers of the checkpoints");
}

function checkReceipt({ lines, problem, isCutOff }: ReadReceipt, { checked, problems, notes }: Findings): void {
  if (isCutOff) notes.push("receipt.jsonl: its last line is cut off, as a power cut may leave it; a resume mends that");
  else if (problem) problems.push(`receipt.jsonl: ${problem}, so what follows it proves nothing`);
  if (lines.length === 0) return;
  checked.push(`receipt.jsonl: ${lines.length} lines, each linked to the one before`);
  if (lines[0]?.event !== "start") problems.push("receipt.jsonl: it does not begin with the start of the run");
  let step = 0;
  for (const line of lines) {
    if (line.event === "gap") {
      notes.push(
        `receipt.jsonl: steps ${step + 1} to ${line.step} are missing, it goes on from the checkpoint of ${line.step}`,
      );
      step = line.step;
    }
    if (line.event === "accepted")
      notes.push(`after step ${line.step} ${line.field} became ${line.is}, which was accepted`);
    if (line.event !== "step" && line.event !== "void") continue;
    if (line.step !== step + 1) problems.push(`receipt.jsonl: step ${line.step} follows step ${step}`);
    if (line.event === "step" && lines[0]?.event === "start" && lines[0].version > 1 && line.moments === undefined)
      problems.push(`receipt.jsonl: step ${line.step} has no digest of the moments`);
    if (line.event === "void") notes.push(`step ${line.step} was skipped: ${line.reason}`);
    step = line.step;
  }
}

function checkMetrics(runDir: string, { lines }: ReadReceipt, { checked, problems, notes }: Findings): void {
  const { steps, evaluations, unreadable } = readMetrics(runDir);
  if (unreadable > 0) problems.push(`metrics.jsonl: ${unreadable} lines cannot be read`);
  const losses = {
    step: new Map(steps.map(({ step, loss }) => [step, loss])),
    eval: new Map(evaluations.map(({ step, loss }) => [step, loss])),
  };
  let compared = 0;
  let missing = 0;
  for (const line of lines) {
    if (line.event !== "step" && line.event !== "eval") continue;
    const loss = losses[line.event].get(line.step);
    const name = line.event === "step" ? "loss" : "validation loss";
    if (loss === undefined) missing++;
    else if (loss === line.loss) compared++;
    else problems.push(`metrics.jsonl: the ${name} of step ${line.step} is ${loss}, the receipt says ${line.loss}`);
  }
  if (missing > 0) notes.push(`metrics.jsonl: ${missing} losses of the receipt are not in it`);
  if (compared > 0) checked.push(`metrics.jsonl: ${compared} losses are those of the receipt`);
}

async function checkCheckpoint(
  folder: string,
  config: TrainConfig,
  model: ModelConfig,
  receipt: ReadReceipt,
  { checked, problems, notes }: Findings,
): Promise<Checkpoint | undefined> {
  const name = basename(folder);
  const damage = await verifyDirectory(folder);
  if (damage.length > 0) {
    problems.push(...damage.map((problem) => `${name}: ${problem}`));
    return undefined;
  }
  let checkpoint: Checkpoint;
  try {
    checkpoint = await loadCheckpoint(folder, model);
  } catch (error) {
    problems.push(`${name}: ${reason(error)}`);
    return undefined;
  }
  if (checkpoint.state.step !== Number(name.slice("step-".length)))
    problems.push(`${name}: its state is that of step ${checkpoint.state.step}`);
  problems.push(...(await promptProblems(checkpoint, config)).map((problem) => `${name}: ${problem}`));
  const proof = proofOf(receipt, checkpoint, model);
  if (proof.kind === "unknown") problems.push(`${name}: the line of the receipt that it knows is not there`);
  else if (proof.kind === "gap") notes.push(`${name}: the lines before it are lost, so nothing proves its numbers`);
  else {
    problems.push(...proof.problems.map((problem) => `${name}: ${problem}`));
    notes.push(...proof.notes.map((note) => `${name}: ${note}`));
    if (proof.problems.length === 0) {
      const what = proof.notes.length > 0 ? "the parameters" : "parameters and moments";
      checked.push(`${name}: all files as published, ${what} of the receipt`);
    }
  }
  return checkpoint;
}

async function checkAdapter(
  config: TrainConfig,
  newest: Checkpoint | undefined,
  best: Checkpoint | undefined,
  { checked, problems, notes }: Findings,
): Promise<void> {
  const found = newest && (await compareAdapter(config, newest, best));
  if (!existsSync(join(config.out, "adapter"))) notes.push("there is no adapter yet: the run has not ended");
  if (!found) return;
  problems.push(...found.problems);
  notes.push(...found.notes);
  if (found.problems.length === 0) checked.push(`adapter: it is that of ${found.of}`);
}
