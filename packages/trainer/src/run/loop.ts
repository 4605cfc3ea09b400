/** The training loop: steps, validations, checkpoints, in an order that a resumed run repeats exactly. */
import { effectiveGate } from "@zerogate/core";
import type { StepPlan } from "@zerogate/data";
import type { TrainConfig } from "../config/train_config.ts";
import type { EvaluationMetrics, MetricsLine, StepMetrics } from "../metrics/records.ts";
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
}

export interface LoopOptions {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
  readonly training: Training;
  readonly standing: Standing;
  /** A resumed run has validated its base already, and `step-0` is there if it stopped so early. */
  readonly isNew: boolean;
  /** Ends the run after the step that is under way. */
  readonly signal: AbortSignal;
  readonly onMetrics: (line: MetricsLine, report: StepReport | undefined) => void;
  /** Writes a checkpoint of the present standing; called at most once per step. */
  readonly save: () => Promise<void>;
}

export type Ending = "finished" | "interrupted" | "stopped-early";

/** Runs from the present standing to the end. Whatever it throws, the last checkpoint is whole. */
export async function trainLoop(options: LoopOptions): Promise<Ending> {
  const { config, inputs, training, standing, isNew, signal, onMetrics, save } = options;
  const { plan, totalSteps, layout } = inputs;
  let savedAt = isNew ? undefined : standing.step;
  const saveOnce = async () => {
    if (savedAt === standing.step) return;
    await save();
    savedAt = standing.step;
  };
  if (isNew && config.evalAtStart) await validate(options);

  while (standing.step < totalSteps) {
    if (isPatienceOver(config, standing)) return "stopped-early";
    if (signal.aborted) {
      await saveOnce();
      return "interrupted";
    }
    const step = plan.step(standing.step);
    const report = await trainStep(training, step);
    standing.step++;
    onMetrics(stepMetrics(step, report, effectiveGates(layout, training.params), plan.stepsPerEpoch), report);

    const isLast = standing.step === totalSteps;
    const isDue = (every: number) => isLast || standing.step % (every || plan.stepsPerEpoch) === 0;
    const isBest = isDue(config.evalEvery) && (await validate(options));
    if (isBest || isDue(config.saveEvery) || isPatienceOver(config, standing)) await saveOnce();
  }
  return "finished";
}

/** True where the held-out loss is the best so far. */
async function validate({ inputs, training, standing, onMetrics }: LoopOptions): Promise<boolean> {
  const { heldOut, plan } = inputs;
  if (!heldOut) return false;
  const { step } = standing;
  const { loss, perplexity, labelledTokens } = await evaluateHeldOut(training.pool, heldOut, true, step);
  const line: EvaluationMetrics = {
    event: "eval",
    step,
    epoch: step / plan.stepsPerEpoch,
    loss,
    perplexity,
    labelledTokens,
  };
  onMetrics(line, undefined);
  if (step === 0) return false; // the base: not a result of this run
  const isBest = standing.best === undefined || loss < standing.best.loss;
  if (isBest) standing.best = { step, loss };
  standing.evaluationsWithoutGain = isBest ? 0 : standing.evaluationsWithoutGain + 1;
  return isBest;
}

function isPatienceOver({ earlyStopping }: TrainConfig, { evaluationsWithoutGain }: Standing): boolean {
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
    labelledTokensPerSecond: perSecond(labelledTokens),
    tokensPerSecond: perSecond(tokens),
    computeMs,
    reduceMs: sum.reduceMs,
    waitMs: Math.max(0, stepMs - computeMs - sum.reduceMs),
    stepMs,
  };
}

/** Of each adapted layer, ascending: the effective gate, or the mean magnitude where every head has its own. */
function effectiveGates(layout: RunInputs["layout"], params: Float32Array): number[] {
  return layout.places.map(({ gate }) => {
    const gates = effectiveGate(layout, params.subarray(gate, gate + layout.gateLength));
    if (layout.gateLength === 1) return gates[0] ?? 0;
    return gates.reduce((sum, g) => sum + Math.abs(g), 0) / gates.length;
  });
}
