/** One uninterrupted stretch of a job: the loop with its metrics, receipt and events, up to an end or a rollback. */
import { configHash, hubNameOf, versions } from "@zerogate/run-config";
import {
  type Checkpoint,
  createTrouble,
  openEventFile,
  openMetrics,
  openReceipt,
  openSamples,
  paramsDigest,
} from "@zerogate/run-files";
import { noRecords } from "../team/other_ranks.ts";
import type { Job } from "./context.ts";
import { writeRemainder } from "./finish.ts";
import { trainLoop } from "./loop.ts";
import type { Ending, Rollback } from "./standing.ts";
import { takeUp } from "./training_state.ts";

/** Trains from the job's standing, which is that of a checkpoint or of the start, and takes up the numbers of it. */
export async function runSession(job: Job, from: Checkpoint | undefined): Promise<Ending | Rollback> {
  const { config, inputs, view, team } = job.run;
  job.moments = takeUp(job.numbers, from, inputs);
  job.isNew = from === undefined;
  job.records = team.isFirst ? openRecords(job, from) : noRecords;
  const { metrics, receipt, events, samples } = job.records;
  const { step } = job.standing;
  if (!from) {
    const made = { zerogate: versions.zerogate, node: versions.node, engine: job.pool.engineName };
    const { hashes } = inputs;
    const params = paramsDigest(job.numbers.params);
    const named = hubNameOf(config.model);
    const model = named && { model: `${named.id}@${named.commit}` };
    receipt.add({ event: "start", version: 2, ...made, ...model, hashes, config: configHash(config), params });
  }
  // A rollback to a later checkpoint finds them in the receipt.
  const isTakenUp = step === (job.run.from?.checkpoint?.state.step ?? 0);
  for (const { field, was, is } of isTakenUp ? job.accepted : []) {
    receipt.add({ event: "accepted", step, field, was, is });
  }
  view.start(step, config, inputs);
  try {
    const ending = await trainLoop(job);
    if (typeof ending === "string") await writeRemainder(job);
    return ending;
  } finally {
    metrics.close();
    receipt.close();
    events.close();
    samples.close();
  }
}

function openRecords({ run, standing: { step } }: Job, from: Checkpoint | undefined): Job["records"] {
  const { config, view } = run;
  const trouble = (what: string) => createTrouble(what, view.warn);
  const link = from && { step, chain: from.state.receipt };
  return {
    metrics: openMetrics(config.out, from?.state.step, trouble("metrics.jsonl"), view.warn),
    receipt: openReceipt(config.out, link, trouble("receipt.jsonl"), view.warn),
    events: openEventFile(config.out, step, trouble("the TensorBoard file")),
    samples:
      config.sampleEvery > 0
        ? openSamples(config.out, from?.state.step, trouble("samples.jsonl"), view.warn)
        : noRecords.samples,
  };
}
