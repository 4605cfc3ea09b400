/** A checkpoint of a job, as it is ordered from the writer. */
import { versions } from "@zerogate/run-config";
import { metricsPath, type RunState, receiptPath } from "@zerogate/run-files";
import type { Job } from "./context.ts";

/** Orders a checkpoint of the present standing; called at most once per step. */
export async function saveJob(job: Job): Promise<void> {
  const { run, writer, moments, standing, floor } = job;
  const { config, inputs } = run;
  const rollbackStep = Math.max(floor, standing.step - config.rollbackSteps);
  await writer.save({
    runDir: config.out,
    state: stateOf(job),
    adapterConfig: inputs.adapterConfig,
    promptFormat: { template: inputs.template, bos: config.bos },
    seen: inputs.seen,
    layout: inputs.layout,
    t: [...moments.t],
    keep: {
      newest: config.keepCheckpoints,
      every: config.keepEvery,
      best: standing.best?.step,
      upTo: config.onBadNumbers === "rollback" ? rollbackStep : undefined,
    },
    flush: [metricsPath(config.out), receiptPath(config.out)],
  });
}

function stateOf({ run, pool, standing, records }: Job): RunState {
  const { config, inputs } = run;
  const { step, best, evaluationsWithoutGain, owesEvaluation, skipped } = standing;
  return {
    step,
    epoch: step / inputs.plan.stepsPerEpoch,
    seed: config.seed,
    engine: pool.engineName,
    hashes: inputs.hashes,
    config: JSON.parse(JSON.stringify(config)),
    versions,
    best,
    evaluationsWithoutGain,
    owesEvaluation,
    voided: skipped,
    receipt: records.receipt.chain() ?? "",
  };
}
