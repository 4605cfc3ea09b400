/** A run that has come to its end, with all that belongs there: a resume of it has nothing to do. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ModelConfig } from "@zerogate/core";
import { verifyDirectory } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { completeConfig, unsafeChanges } from "@zerogate/run-config";
import {
  type Checkpoint,
  checkpointFolder,
  listCheckpoints,
  loadCheckpoint,
  loadReceipt,
  proofOf,
} from "@zerogate/run-files";
import { chooseAdapter } from "./adapter_choice.ts";
import { isEarlyStop } from "./loop.ts";
import type { RunResult } from "./run_result.ts";
import type { Ending } from "./standing.ts";
import { compareAdapter } from "./verify_adapter.ts";

/**
 * The result of a run that has ended, undefined if something is left to do: steps, a validation, an adapter or a report
 * that is lost or damaged, or what this call's config wants otherwise.
 *
 * @param wantsReport Whether a report belongs to the end.
 */
export async function endedRun(
  config: TrainConfig,
  model: ModelConfig,
  wantsReport: boolean,
): Promise<RunResult | undefined> {
  const [newest, best] = await endCheckpoints(config.out, model);
  if (!newest) return undefined;
  const { state } = newest;
  const before = completeConfig(state.config, state.versions.zerogate, checkpointFolder(config.out, state.step));
  const ending = endingOf(config, newest);
  if (!ending || unsafeChanges(before, config).length > 0 || before.reportAnswers !== config.reportAnswers)
    return undefined;
  const report = join(config.out, "report.html");
  const found = await compareAdapter(config, newest, best);
  if ((wantsReport && !existsSync(report)) || !found || found.problems.length > 0) return undefined;
  return {
    ending,
    steps: state.step,
    best: state.best,
    choice: chooseAdapter(config, state),
    samples: [],
    unmoved: [],
    adapterFolder: join(config.out, "adapter"),
    report: existsSync(report) ? report : undefined,
    durationMs: 0,
    hadEnded: true,
  };
}

/** The newest checkpoint and the best, each if it is whole and the receipt proves it. */
async function endCheckpoints(runDir: string, model: ModelConfig): Promise<(Checkpoint | undefined)[]> {
  const receipt = loadReceipt(runDir);
  const load = async (step: number | undefined) => {
    const folder = checkpointFolder(runDir, step ?? 0);
    if (step === undefined || (await verifyDirectory(folder)).length > 0) return undefined;
    const checkpoint = await loadCheckpoint(folder, model);
    const proof = proofOf(receipt, checkpoint, model);
    return checkpoint.state.step === step && proof.kind === "known" && proof.problems.length === 0
      ? checkpoint
      : undefined;
  };
  const newest = await load((await listCheckpoints(runDir))[0]);
  return [newest, await load(newest?.state.best?.step)];
}

function endingOf(config: TrainConfig, { state }: Checkpoint): Ending | undefined {
  const { step, epoch, owesEvaluation = false } = state;
  if (owesEvaluation || step === 0) return undefined;
  const stepsPerEpoch = Math.round(step / epoch);
  if (step === (config.steps ?? (config.epochs ?? 1) * stepsPerEpoch)) return "finished";
  return isEarlyStop(config, state) ? "stopped-early" : undefined;
}
