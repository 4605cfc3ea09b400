/** The training loop: steps, validations, checkpoints, in an order that a resumed run repeats exactly. */

import { effectiveGates, InputError, StepRefusedError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import type { StepPlan } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { EvaluationMetrics, MetricsLine, ReceiptFile, StepMetrics, VoidedStep } from "@zerogate/run-files";
import { momentsDigest, paramsDigest } from "@zerogate/run-files";
import { type BadNumbersReport, reportBadNumbers } from "./bad_numbers.ts";
import { tellingSamples } from "./deadly_cell.ts";
import { evaluateHeldOut } from "./evaluate.ts";
import type { RunInputs } from "./inputs.ts";
import { type StepReport, type Training, trainStep } from "./train_step.ts";

/** Where a run stands. All of it is in every checkpoint. */
export interface Standing {
  /** Steps done; the next one is plan step `step`. */
  step: number;
  best: { readonly step: number; readonly loss: number } | undefined;
  /** Validations in a row without a new best. */
  evaluationsWithoutGain: number;
  /** A validation is due at this step, or under way. */
  owesEvaluation: boolean;
  /** Steps of the plan that are passed over, ascending. */
  voided: readonly VoidedStep[];
}

export interface LoopOptions {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
  readonly training: Training;
  readonly standing: Standing;
  /** A resumed run has validated its base already, and `step-0` is there if it stopped so early. */
  readonly isNew: boolean;
  /** A rollback ends here. */
  readonly floor: number;
  readonly control: RunControl;
  readonly receipt: Pick<ReceiptFile, "add">;
  /** Before anything is recorded: throws where another process has taken the run over while this one slept. */
  readonly checkLock: () => Promise<void>;
  readonly onMetrics: (line: MetricsLine, report: StepReport | undefined) => void;
  readonly onWarning: (message: string) => void;
  /** Orders a checkpoint of the present standing; called at most once per step. */
  readonly save: () => Promise<void>;
  /** Waits until all that was ordered is on disk; throws what the disk says where it refuses. Undefined where another rank writes. */
  readonly settle: (() => Promise<void>) | undefined;
}

/** What the outside wants of a run while it goes on. */
export interface RunControl {
  /** Ends the run after the step that is under way. */
  readonly signal: AbortSignal;
  /** Checkpoints asked for so far, for example by SIGUSR1; each is made after the step that is under way. */
  readonly saveRequests: { readonly count: number };
}

export type Ending = "finished" | "interrupted" | "stopped-early";

/** The state after `to` steps is to be taken up again, and the steps of the plan from there to `bad` passed over. */
export interface Rollback {
  readonly to: number;
  readonly bad: number;
  readonly reason: string;
}

/** Bad steps in a row that are passed over before a run is given up: then it is not the data. */
const MAX_VOIDED_IN_A_ROW = 10;

/** Runs from the present standing to the end. Whatever it throws, the last checkpoint is whole. */
export async function trainLoop(options: LoopOptions): Promise<Ending | Rollback> {
  const { config, inputs, standing, isNew, control, receipt, onWarning, save, settle } = options;
  const { plan, totalSteps } = inputs;
  let savedAt = isNew ? undefined : standing.step;
  let savedWhen = performance.now(); // the time of day may jump
  let requests = control.saveRequests.count;
  const saveOnce = async () => {
    if (savedAt === standing.step) return;
    await save();
    savedAt = standing.step;
    savedWhen = performance.now();
  };
  /** Ends the run with the present state on disk, and says whether it is. */
  const giveUp = async (message: string, cause?: unknown): Promise<never> => {
    await saveOnce();
    if (!settle) throw cause instanceof Error ? cause : new Error(message);
    const state = `The state after step ${standing.step} is`;
    const told = await settle().then(
      () => `${state} saved`,
      (error: unknown) => `${state} not saved: ${reason(error)}`,
    );
    throw cause instanceof InputError ? cause : new Error(`${message}\n${told}`, { cause });
  };
  const endWith = (error: unknown): Promise<never> => giveUp(reason(error), error);
  if (isNew ? config.evalAtStart : standing.owesEvaluation) await validate(options).catch(endWith);

  while (standing.step < totalSteps) {
    if (isPatienceOver(config, standing)) return "stopped-early";
    if (control.signal.aborted) {
      await saveOnce();
      return "interrupted";
    }
    const { step } = standing;
    let voided = standing.voided.find((known) => known.step === step);
    const bad = voided ? undefined : await takeStep(options).catch(endWith);
    if (bad) {
      const givesUp = voidedBefore(standing) >= MAX_VOIDED_IN_A_ROW + config.rollbackSteps;
      if (config.onBadNumbers === "stop" || givesUp) {
        await giveUp(`Cannot go on: ${bad.message}\n${adviceOn(config)}`);
      }
      onWarning(`${bad.message}\n  onBadNumbers is ${config.onBadNumbers}`);
      if (config.onBadNumbers === "rollback") {
        return { to: Math.max(options.floor, step - config.rollbackSteps), bad: step, reason: bad.reason };
      }
      voided = { step, reason: bad.reason };
      standing.voided = [...standing.voided, voided];
    }
    if (voided) {
      standing.step++;
      receipt.add({ event: "void", step: standing.step, reason: voided.reason });
    }

    const isLast = standing.step === totalSteps;
    const isDue = (every: number) => isLast || standing.step % (every || plan.stepsPerEpoch) === 0;
    const isBest = isDue(config.evalEvery) && (await validate(options).catch(endWith));
    const isAsked = control.saveRequests.count !== requests;
    requests = control.saveRequests.count;
    const isOverdue = config.saveMinutes > 0 && performance.now() - savedWhen >= 60_000 * config.saveMinutes;
    if (isBest || isDue(config.saveEvery) || isAsked || isOverdue || isPatienceOver(config, standing)) await saveOnce();
  }
  return "finished";
}

/** Takes and records the next step; if its numbers are bad, nothing has changed and they are reported. */
async function takeStep(options: LoopOptions): Promise<BadNumbersReport | undefined> {
  const { inputs, training, standing, onMetrics, receipt, checkLock } = options;
  const { plan, layout } = inputs;
  const step = plan.step(standing.step);
  let report: StepReport;
  try {
    report = await tellingSamples(trainStep(training, step), inputs.train, inputs);
  } catch (error) {
    if (!(error instanceof StepRefusedError)) throw error;
    return await reportBadNumbers(error, step, inputs, training.pool, adapterAt(training, step.step));
  }
  await checkLock();
  standing.step++;
  onMetrics(stepMetrics(step, report, meanGates(layout, training.params), plan.stepsPerEpoch), report);
  const { params, moments } = training;
  const digests = { params: paramsDigest(params), moments: momentsDigest(moments) };
  receipt.add({ event: "step", step: standing.step, loss: report.loss, ...digests });
  return undefined;
}

/** Steps in a row, up to the present one, that were passed over. */
function voidedBefore({ step, voided }: Standing): number {
  const steps = new Set(voided.map((known) => known.step));
  let count = 0;
  while (steps.has(step - 1 - count)) count++;
  return count;
}

function adviceOn({ onBadNumbers }: TrainConfig): string {
  if (onBadNumbers !== "stop")
    return "So many steps in a row are bad: the data is not to blame, lower the learning rate";
  return "Lower the learning rate, mend these samples, or pass over the step: resume with --on-bad-numbers skip";
}

/** The adapter after `step` steps. */
const adapterAt = ({ job, version }: Training, step: number) => ({ job, version: version(step) });

/** True where the held-out loss is the best so far. */
async function validate({ inputs, training, standing, onMetrics, receipt, checkLock }: LoopOptions): Promise<boolean> {
  const { heldOut, plan } = inputs;
  if (!heldOut) return false;
  const { step } = standing;
  standing.owesEvaluation = true;
  const result = await evaluateHeldOut(training.pool, heldOut, inputs, adapterAt(training, step));
  await checkLock();
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
  onMetrics(line, undefined);
  receipt.add({ event: "eval", step, loss });
  if (step === 0) return false; // the base: not a result of this run
  const isBest = standing.best === undefined || loss < standing.best.loss;
  if (isBest) standing.best = { step, loss };
  standing.evaluationsWithoutGain = isBest ? 0 : standing.evaluationsWithoutGain + 1;
  return isBest;
}

export function isPatienceOver(
  { earlyStopping }: TrainConfig,
  { evaluationsWithoutGain }: Pick<Standing, "evaluationsWithoutGain">,
): boolean {
  return earlyStopping > 0 && evaluationsWithoutGain >= earlyStopping;
}

function stepMetrics(plan: StepPlan, report: StepReport, gates: number[], stepsPerEpoch: number): StepMetrics {
  const { loss, learningRate, gradientNorm, stepMs, sum } = report;
  const { tokens, labelledTokens } = plan;
  const perSecond = (count: number) => (1000 * count) / stepMs;
  const computeMs = Math.max(...sum.perWorker.map((worker) => worker.computeMs));
  return {
    step: plan.step + 1,
    epoch: (plan.step + 1) / stepsPerEpoch,
    loss,
    learningRate,
    gradientNorm,
    gates,
    labelledTokens,
    tokens,
    ...(sum.hostTokens && { hostTokens: sum.hostTokens }),
    labelledTokensPerSecond: perSecond(labelledTokens),
    tokensPerSecond: perSecond(tokens),
    computeMs,
    reduceMs: sum.reduceMs,
    waitMs: Math.max(0, stepMs - computeMs - sum.reduceMs),
    stepMs,
  };
}

/** Of each adapted layer, ascending: the effective gate, or the mean magnitude where every head has its own. */
function meanGates(layout: RunInputs["layout"], params: Float32Array): number[] {
  return effectiveGates({ layout, params }).map(({ effective: gates }) => {
    if (gates.length === 1) return gates[0] ?? 0;
    return gates.reduce((sum, g) => sum + Math.abs(g), 0) / gates.length;
  });
}
