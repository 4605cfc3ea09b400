/** The training loop: steps, validations, checkpoints, in an order that a resumed run repeats exactly. */

import { effectiveGates, InputError, StepRefusedError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import type { EvaluationMetrics, MetricsLine, ReceiptBody } from "@zerogate/run-files";
import { momentsDigest, paramsDigest } from "@zerogate/run-files";
import { type BadNumbersReport, reportBadNumbers } from "./bad_numbers.ts";
import { adapterAt, type Job } from "./context.ts";
import { tellingSamples } from "./deadly_cell.ts";
import { evaluateHeldOut } from "./evaluate.ts";
import type { RunInputs } from "./inputs.ts";
import { saveJob } from "./save.ts";
import type { Ending, Rollback, Standing } from "./standing.ts";
import { type StepReport, stepMetrics } from "./step_report.ts";
import { trainStep } from "./train_step.ts";
import { takeSamples } from "./watch_samples.ts";

/** How long a run that an error ends waits for a disk that refuses. */
const LAST_PATIENCE_MS = 1000;

/** Bad steps in a row that are skipped before a run is given up: then it is not the data. */
const MAX_SKIPPED_IN_A_ROW = 10;

/** Runs from the present standing to the end. Whatever it throws, the last checkpoint is whole. */
export async function trainLoop(job: Job): Promise<Ending | Rollback> {
  const { run, standing, isNew, floor, records, writer } = job;
  const { config, inputs, signal, saveRequests, team, view } = run;
  const { plan, totalSteps } = inputs;
  let savedAt = isNew ? undefined : standing.step;
  let savedWhen = performance.now(); // the time of day may jump
  let requests = saveRequests.count;
  const saveOnce = async () => {
    if (savedAt === standing.step) return;
    await saveJob(job);
    savedAt = standing.step;
    savedWhen = performance.now();
  };
  /** Ends the run with the present state on disk, and says whether it is. */
  const giveUp = async (message: string, cause?: unknown): Promise<never> => {
    await saveOnce();
    if (!team.isFirst) throw cause instanceof Error ? cause : new Error(message);
    const state = `The state after step ${standing.step} is`;
    const outcome = await writer.drain(LAST_PATIENCE_MS).then(
      () => `${state} saved`,
      (error: unknown) => `${state} not saved: ${reason(error)}`,
    );
    throw cause instanceof InputError ? cause : new Error(`${message}\n${outcome}`, { cause });
  };
  const endWith = (error: unknown): Promise<never> => giveUp(reason(error), error);
  if (isNew ? config.evalAtStart : standing.owesEvaluation) await validate(job).catch(endWith);
  await takeSamples(job, "start").catch(endWith);

  while (standing.step < totalSteps) {
    if (isEarlyStop(config, standing)) return "stopped-early";
    if (signal.aborted) {
      await saveOnce();
      return "interrupted";
    }
    const { step } = standing;
    let skipped = standing.skipped.find((known) => known.step === step);
    const bad = skipped ? undefined : await takeStep(job).catch(endWith);
    if (bad) {
      const givesUp = skippedBefore(standing) >= MAX_SKIPPED_IN_A_ROW + config.rollbackSteps;
      if (config.onBadNumbers === "stop" || givesUp) {
        await giveUp(`Cannot go on: ${bad.message}\n${adviceOn(config)}`);
      }
      view.warn(`${bad.message}\n  onBadNumbers is ${config.onBadNumbers}`);
      if (config.onBadNumbers === "rollback") {
        return { to: Math.max(floor, step - config.rollbackSteps), bad: step, reason: bad.reason };
      }
      skipped = { step, reason: bad.reason };
      standing.skipped = [...standing.skipped, skipped];
    }
    if (skipped) {
      standing.step++;
      records.receipt.add({ event: "void", step: standing.step, reason: skipped.reason });
    }

    const isLast = standing.step === totalSteps;
    const isDue = (every: number) => isLast || standing.step % (every || plan.stepsPerEpoch) === 0;
    const isBest = isDue(config.evalEvery) && (await validate(job).catch(endWith));
    await takeSamples(job, isLast || isEarlyStop(config, standing) ? "end" : "step").catch(endWith);
    const isAsked = saveRequests.count !== requests;
    requests = saveRequests.count;
    const isOverdue = config.saveMinutes > 0 && performance.now() - savedWhen >= 60_000 * config.saveMinutes;
    if (isBest || isDue(config.saveEvery) || isAsked || isOverdue || isEarlyStop(config, standing)) await saveOnce();
  }
  return "finished";
}

/** Takes and records the next step; if its numbers are bad, nothing has changed and they are reported. */
async function takeStep(job: Job): Promise<BadNumbersReport | undefined> {
  const { run, standing, numbers, moments } = job;
  const { inputs, lock } = run;
  const { plan, layout } = inputs;
  const step = plan.step(standing.step);
  let report: StepReport;
  try {
    const settle = () => job.records.receipt.settle();
    report = await tellingSamples(trainStep(job, step, settle), inputs.train, inputs);
  } catch (error) {
    if (!(error instanceof StepRefusedError)) throw error;
    return await reportBadNumbers(error, step, inputs, job.pool, adapterAt(job, step.step));
  }
  await lock.check();
  standing.step++;
  const { step: taken } = standing;
  const line = stepMetrics(step, report, meanGates(layout, numbers.params), plan.stepsPerEpoch);
  // Hashing takes as long as all else between two steps: it is done while devices compute the next one.
  const digests = () => ({ params: paramsDigest(numbers.params), moments: momentsDigest(moments) });
  record(job, line, () => ({ event: "step", step: taken, loss: report.loss, ...digests() }));
  run.view.metrics(line, report, standing.best);
  return undefined;
}

/** Writes a line of metrics, and one of the receipt later. The view comes after it: what it throws leaves a run that can go on. */
function record({ records }: Job, line: MetricsLine, proof: () => ReceiptBody): void {
  records.metrics.write(line);
  records.events.write(line);
  records.receipt.addLater(proof);
}

/** Steps in a row, up to the present one, that were skipped. */
function skippedBefore({ step, skipped }: Standing): number {
  const steps = new Set(skipped.map((known) => known.step));
  let count = 0;
  while (steps.has(step - 1 - count)) count++;
  return count;
}

function adviceOn({ onBadNumbers }: TrainConfig): string {
  if (onBadNumbers !== "stop")
    return "Too many steps in a row are bad: the data is not to blame, lower the learning rate";
  return "Lower the learning rate, mend these samples, or skip the step: resume with --on-bad-numbers skip";
}

/** Returns whether the held-out loss is the best so far. */
async function validate(job: Job): Promise<boolean> {
  const { run, standing } = job;
  const { inputs, lock } = run;
  const { heldOut, plan } = inputs;
  if (!heldOut) return false;
  const { step } = standing;
  standing.owesEvaluation = true;
  const result = await evaluateHeldOut(job.pool, heldOut, inputs, adapterAt(job, step));
  await lock.check();
  standing.owesEvaluation = false;
  const { loss, perplexity, labelledTokens } = result;
  const line: EvaluationMetrics = {
    event: "eval",
    step,
    epoch: step / plan.stepsPerEpoch,
    loss,
    perplexity,
    labelledTokens,
  };
  record(job, line, () => ({ event: "eval", step, loss }));
  const isResult = step > 0; // the base is not one of this run
  const isBest = isResult && (standing.best === undefined || loss < standing.best.loss);
  if (isBest) standing.best = { step, loss };
  if (isResult) standing.evaluationsWithoutGain = isBest ? 0 : standing.evaluationsWithoutGain + 1;
  run.view.metrics(line, undefined, standing.best);
  return isBest;
}

/** Whether `earlyStopping` validations in a row brought no new best. */
export function isEarlyStop(
  { earlyStopping }: TrainConfig,
  { evaluationsWithoutGain }: Pick<Standing, "evaluationsWithoutGain">,
): boolean {
  return earlyStopping > 0 && evaluationsWithoutGain >= earlyStopping;
}

/** Of each adapted layer, ascending: the effective gate, or the mean magnitude if every head has its own. */
function meanGates(layout: RunInputs["layout"], params: Float32Array): number[] {
  return effectiveGates({ layout, params }).map(({ effective: gates }) => {
    if (gates.length === 1) return gates[0] ?? 0;
    return gates.reduce((sum, g) => sum + Math.abs(g), 0) / gates.length;
  });
}
