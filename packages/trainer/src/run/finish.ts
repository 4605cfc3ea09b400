/** What comes after the last step: the adapter as a PEFT folder, base and adapter side by side, and the report. */

import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parameterCount, trainableLine } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { trainedLayers } from "@zerogate/core/training";
import type { TrainConfig } from "@zerogate/run-config";
import { versions } from "@zerogate/run-config";
import {
  checkpointFolder,
  createTrouble,
  loadCheckpoint,
  patiently,
  readMetrics,
  readSamples,
  trainedLayout,
} from "@zerogate/run-files";
import { type AdapterChoice, chooseAdapter, describeChoice, lastAdapter } from "./adapter_choice.ts";
import { checkProof, underWay } from "./check_proof.ts";
import type { Job } from "./context.ts";
import { evaluateHeldOut } from "./evaluate.ts";
import { saveFinalAdapter } from "./final_adapter.ts";
import type { ReportData } from "./report_data.ts";
import type { RunResult } from "./run_result.ts";
import { answerSamples } from "./samples.ts";
import { unmovedParts } from "./unmoved.ts";

/** Names the parameters at the end: no step has this name, whatever a run that went back has seen. */
const FINAL_VERSION = -1;

/** How many times their usual limit other ranks wait for rank 0 while it waits for a disk. */
const diskRounds = ({ diskPatience, hostTimeout }: TrainConfig): number => 1 + (60 * diskPatience) / hostTimeout;

/**
 * At the end nothing is lost by waiting for a disk; how long is up to `diskPatience` and to a second Ctrl-C. Then the state
 * is put where it can be written, if anywhere.
 */
export async function writeRemainder({ run, writer }: Job): Promise<void> {
  const { config, team } = run;
  const drain = () => writer.drain(60_000 * config.diskPatience);
  const rescue = async (cause: unknown): Promise<never> => {
    const attempt = `Cannot save the last checkpoint in ${config.out}: ${reason(cause)}`;
    const rescued = await mkdtemp(join(tmpdir(), "zerogate-rescue-"))
      .then((folder) => writer.rescue(folder))
      .catch(() => undefined);
    const advice = rescued
      ? `it is saved as ${rescued}: move that into ${join(config.out, "checkpoints")} and resume, with --accept-change receipt if the receipt lacks its end`
      : "";
    throw new Error([attempt, advice].filter(Boolean).join("; "), { cause });
  };
  await team.agree("the last checkpoint", () => drain().catch(rescue), diskRounds(config));
}

export async function finish(
  job: Job,
  durationMs: number,
): Promise<Omit<RunResult, "ending" | "steps" | "durationMs">> {
  const { run, standing, numbers, pool } = job;
  const { config, inputs, view, team, lock } = run;
  const { layout, adapterConfig, seen, model, template } = inputs;
  const { adapterDtype: dtype, bos, diskPatience } = config;
  const { params } = numbers;
  const choice = await takeChosen(job);
  const origin = describeChoice(choice);
  const trained = { config: adapterConfig, layout, params, dtype, promptFormat: { template, bos }, seen, origin };
  const save = () => saveFinalAdapter(config.out, trained, view.warn);
  const trouble = createTrouble("The adapter", view.warn);
  const write = async () => {
    await lock.check();
    return await patiently(save, 60_000 * diskPatience, trouble).catch((cause) => {
      const kept = checkpointFolder(config.out, choice.step);
      throw new Error(`Cannot write the adapter: ${reason(cause)}; ${kept} holds it too`, { cause });
    });
  };
  const adapterFolder = await team.fromFirst("the adapter", write, diskRounds(config));
  view.phase({ name: "comparing base and adapter" });
  const compared = await compare(job).catch((cause) => {
    const kept = `The adapter is trained and saved as ${adapterFolder}: a resume repeats only what comes after it`;
    throw new Error(`${reason(cause)}\n${kept}`, { cause });
  });
  const { base, adapter, samples } = compared;
  const own = trainedLayout(config, layout);
  const all = parameterCount(model) + layout.length;
  const data = (): ReportData => ({
    title: config.out.split(/[\\/]/).at(-1) ?? config.out,
    createdAt: new Date(),
    config,
    engine: pool.engineName,
    data: inputs.counts,
    metrics: readMetrics(config.out),
    layers: trainedLayers(layout.table),
    summary: {
      trainedParameters: trainableLine({ trainable: own.length, all }),
      durationMs,
      validationLoss: { before: base?.loss, after: adapter?.loss },
      exactMatch: { before: base?.exactMatch, after: adapter?.exactMatch },
      bestStep: standing.best?.step,
      adapterOf: origin,
    },
    samples,
    watched: readSamples(config.out),
    versions,
  });
  const report = await team.fromFirst("the report", async () => {
    await lock.check();
    return await view.report(config.out, data());
  });
  view.phase(undefined);
  const unmoved = unmovedParts(own.table, inputs.initialParams, params);
  return { base, adapter, best: standing.best, samples, unmoved, choice, adapterFolder, report };
}

/** Sets the parameters of all ranks to those that are delivered. If the best are lost, that is reported and the last stay. */
async function takeChosen({ run, numbers, standing }: Job): Promise<AdapterChoice> {
  const { config, inputs, view, team } = run;
  const wanted = chooseAdapter(config, standing);
  if (wanted.step === standing.step) return wanted;
  const best = await team.fromFirst("the best checkpoint", async () => {
    try {
      const folder = checkpointFolder(config.out, wanted.step);
      const checkpoint = await loadCheckpoint(folder, inputs.model);
      await checkProof(config.out, folder, checkpoint, inputs.model, underWay);
      return checkpoint.params;
    } catch (error) {
      const instead = `the adapter is that of the last step, ${standing.step}`;
      view.warn(`The best state, ${describeChoice(wanted)}, cannot be taken: ${reason(error)}: ${instead}`);
      return undefined;
    }
  });
  if (best === undefined) return lastAdapter(standing.step);
  numbers.params.set(best);
  return wanted;
}

/** Base and adapter on what is held out, and their answers to some of it. */
async function compare({ id, run, pool }: Job): Promise<Pick<RunResult, "base" | "adapter" | "samples">> {
  const { config, inputs } = run;
  const { heldOut } = inputs;
  if (!heldOut) return { samples: [] };
  const final = { job: id, version: FINAL_VERSION };
  const base = await evaluateHeldOut(pool, heldOut, inputs, undefined);
  const adapter = await evaluateHeldOut(pool, heldOut, inputs, final);
  const samples = await answerSamples(pool, heldOut, inputs, config.reportAnswers, final);
  return { base, adapter, samples };
}
