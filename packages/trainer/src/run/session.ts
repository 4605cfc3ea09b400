/** One uninterrupted stretch of a run: the loop with its metrics, receipt, events and checkpoints, up to an end or a rollback. */

import type { TrainConfig } from "@zerogate/run-config";
import { configHash, versions } from "@zerogate/run-config";
import type { Checkpoint, MetricsLine, RunState, VoidedStep } from "@zerogate/run-files";
import {
  createTrouble,
  metricsPath,
  openEventFile,
  openMetrics,
  openReceipt,
  paramsDigest,
  receiptPath,
} from "@zerogate/run-files";
import { noRecords } from "../team/other_ranks.ts";
import type { AcceptedChange } from "./accepted.ts";
import { writeRemainder } from "./finish.ts";
import type { RunInputs } from "./inputs.ts";
import { type Ending, type Rollback, type Standing, trainLoop } from "./loop.ts";
import type { Running } from "./running.ts";
import { optimizerOptions, takeUp } from "./training_state.ts";

/** How long a run that an error ends waits for a disk that refuses. */
const LAST_PATIENCE_MS = 1000;

export interface SessionStart {
  readonly from: Checkpoint | undefined;
  readonly accepted: readonly AcceptedChange[];
  readonly voided: readonly VoidedStep[];
  /** How often this run went back, in this process. */
  readonly rollbacks: number;
  /** No rollback goes further back than to so many steps done: other settings held before, which were changed by consent. */
  readonly floor: number;
}

/** The training loop with its metrics, receipt, events and checkpoints, from a checkpoint or from the start. */
export async function runSession(
  running: Running,
  { from, accepted, voided, rollbacks, floor }: SessionStart,
): Promise<{ ending: Ending | Rollback; standing: Standing }> {
  const { config, inputs, numbers, pool, writer, view, control, team, lock } = running;
  const { layout, adapterConfig, template, schedule, totalSteps, hashes } = inputs;
  const { params } = numbers;
  const moments = takeUp(numbers, from, inputs);
  const { step = 0, best, evaluationsWithoutGain = 0, owesEvaluation = false } = from?.state ?? {};
  const standing: Standing = { step, best, evaluationsWithoutGain, owesEvaluation, voided };
  const optimizer = optimizerOptions(config, layout.table);
  const trouble = (what: string) => createTrouble(what, view.warn);
  const openRecords = () => ({
    metrics: openMetrics(config.out, from?.state.step, trouble("metrics.jsonl"), view.warn),
    receipt: openReceipt(config.out, from && { step, chain: from.state.receipt }, trouble("receipt.jsonl"), view.warn),
    events: openEventFile(config.out, step, trouble("the TensorBoard file")),
  });
  const { metrics, receipt, events } = team.isFirst ? openRecords() : noRecords;
  if (!from) {
    const run = { zerogate: versions.zerogate, node: versions.node, engine: pool.engineName, hashes };
    receipt.add({ event: "start", version: 2, ...run, config: configHash(config), params: paramsDigest(params) });
  }
  for (const { field, was, is } of accepted) receipt.add({ event: "accepted", step, field, was, is });
  view.start(step, config, inputs);
  try {
    const version = (done: number) => rollbacks * (totalSteps + 1) + done;
    const { clipNorm } = config;
    const adamWUpdate = inputs.engine.adamWUpdate?.();
    const training = {
      pool,
      job: config.out,
      params,
      moments,
      optimizer,
      schedule,
      clipNorm,
      adamWUpdate,
      copied: writer.copied,
      version,
    };
    const ending = await trainLoop({
      config,
      inputs,
      training,
      standing,
      isNew: from === undefined,
      floor,
      control,
      receipt,
      checkLock: lock.check,
      onMetrics(line: MetricsLine, report) {
        metrics.write(line);
        events.write(line);
        view.metrics(line, report, standing.best);
      },
      onWarning: view.warn,
      save: () =>
        writer.save({
          runDir: config.out,
          state: runState(config, inputs, standing, pool.engineName, receipt.chain() ?? ""),
          adapterConfig,
          promptFormat: { template, bos: config.bos },
          layout,
          t: [...moments.t],
          keep: {
            newest: config.keepCheckpoints,
            every: config.keepEvery,
            best: standing.best?.step,
            upTo:
              config.onBadNumbers === "rollback" ? Math.max(floor, standing.step - config.rollbackSteps) : undefined,
          },
          flush: [metricsPath(config.out), receiptPath(config.out)],
        }),
      settle: team.isFirst ? () => writer.drain(LAST_PATIENCE_MS) : undefined,
    });
    if (typeof ending === "string") await writeRemainder(running);
    return { ending, standing };
  } finally {
    metrics.close();
    receipt.close();
    events.close();
  }
}

function runState(
  config: TrainConfig,
  inputs: RunInputs,
  standing: Standing,
  engine: string,
  receipt: string,
): RunState {
  return {
    step: standing.step,
    epoch: standing.step / inputs.plan.stepsPerEpoch,
    seed: config.seed,
    engine,
    hashes: inputs.hashes,
    config: JSON.parse(JSON.stringify(config)),
    versions,
    best: standing.best,
    evaluationsWithoutGain: standing.evaluationsWithoutGain,
    owesEvaluation: standing.owesEvaluation,
    voided: standing.voided,
    receipt,
  };
}
