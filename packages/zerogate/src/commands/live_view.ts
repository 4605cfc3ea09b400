/** Shows a run on the terminal (or as plain lines, or as JSON) and keeps its log. */

import { beginningOf } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { isEvaluation, type SampledAnswer } from "@zerogate/run-files";
import type { Rank, RunListener, RunResult, RunView } from "@zerogate/trainer";
import { type Progress, rankView } from "@zerogate/trainer/command";
import type { DeviceEvent } from "@zerogate/workers";
import { logLevel, openLog, type RunLog } from "../log.ts";
import { writeReport } from "../report/render.ts";
import { createCurve } from "../status/curve.ts";
import { openStatus, type StatusDisplay } from "../status/display.ts";
import type { TrainingStatus, WorkerStatus } from "../status/state.ts";
import { type CommandContext, printJson } from "./context.ts";

export interface LiveView extends RunView {
  readonly progress: Progress;
  /** From here on lines go to `RUN/log.jsonl` as well. */
  opened(config: TrainConfig): void;
  closed(): void;
}

/** @param json also print one JSON object per step on stdout. */
export function openLiveView(context: CommandContext, json: boolean): LiveView {
  const status = openStatus(context.stderr, context.env);
  let log = openLog({ level: logLevel(undefined, context.env), print: status.log });
  const curve = trainingCurve(status);
  const sayStopping = () => status.log("Finishing this step, then saving. Once more to leave at once.");
  context.signal.addEventListener("abort", sayStopping, { once: true });
  return {
    progress: {
      onPhase: status.phase,
      onWarning: (message) => log.logger.warn(message),
      signal: context.signal,
    },
    opened(config) {
      log = replaceLog(log, config, context, status);
    },
    phase: status.phase,
    start: curve.start,
    metrics(line, report, best) {
      if (json && !isEvaluation(line)) printJson(context, { event: "step", ...line });
      if (isEvaluation(line)) log.logger.debug({ step: line.step, loss: line.loss }, "validation");
      curve.metrics(line, report, best);
    },
    samples(lines) {
      if (json) for (const line of lines) printJson(context, { event: "sample", ...line });
      for (const line of lines.slice(0, SHOWN_SAMPLES)) log.logger.info(describeSample(line));
    },
    checkpoint: (folder) => log.logger.debug({ folder }, "checkpoint"),
    warn: (message) => log.logger.warn(message),
    note: (message, counts) => log.logger.info(counts ? { counts } : {}, message),
    device(event) {
      curve.device(event);
      logDevice(log.logger, event);
    },
    report: writeReport,
    failed: (message) => log.logger.fatal(message),
    closed() {
      context.signal.removeEventListener("abort", sayStopping);
      status.stop();
      log.close();
    },
  };
}

/**
 * Makes the view of each rank: the first shows the run of all.
 * @param print what the first prints of the result
 */
export function openRunView(
  context: CommandContext,
  json: boolean,
  print: (result: RunResult) => void,
): (rank: Rank) => RunListener {
  return (rank) => {
    if (!rank.isFirst) return otherRank(rank, context);
    return { ...withoutReader(openLiveView(context, json), context), ended: print };
  };
}

/** The same for a plan, which is all that there is to print: a reader that left it is no reason to go on. */
export function openPlanView(context: CommandContext): (rank: Rank) => RunListener {
  return (rank) => (rank.isFirst ? openLiveView(context, false) : otherRank(rank, context));
}

function otherRank({ rank }: Rank, { stderr }: CommandContext): RunListener {
  return rankView(rank, (line) => stderr.write(`${line}\n`));
}

/** A run whose output nobody can read goes on, and says so once. */
function withoutReader(view: LiveView, context: CommandContext): LiveView {
  const warning = (reason: string) => `stdout cannot be written: ${reason}. The run goes on, its folder has all of it`;
  context.stdout.goOnWithout((reason) => view.warn(warning(reason)));
  const closed = () => {
    view.closed();
    context.stdout.goOnWithout((reason) => context.stderr.write(`warning: ${warning(reason)}\n`));
  };
  return { ...view, closed };
}

function replaceLog(before: RunLog, config: TrainConfig, context: CommandContext, status: StatusDisplay): RunLog {
  before.close();
  const level = logLevel(config.logLevel, context.env);
  return openLog({ level, print: status.log, runDir: config.out, earlier: before.kept });
}

/** Logs a worker's start and death, and of cells that are computed again. */
export function logDevice(logger: RunLog["logger"], event: DeviceEvent): void {
  switch (event.type) {
    case "worker-started":
      logger.debug({ engine: event.engineName, ms: Math.round(event.loadMs) }, `worker ${event.device} is ready`);
      return;
    case "worker-died": {
      const after = event.restarts ? "it is started again" : "it died too often and is not started again";
      logger.warn(`worker ${event.device} died at ${event.lastOperation} (${event.reason}): ${after}`);
      return;
    }
    case "cell-failed":
      logger.warn(
        `${event.of}: cell ${event.cell} failed on worker ${event.device} (${event.reason}): another one tries it`,
      );
      return;
    case "cells-redone":
      logger.info(`${event.of}: ${event.cells.length} cells of worker ${event.device} are computed again`);
  }
}

/** Answers that are said each time; the file has all of them. */
const SHOWN_SAMPLES = 3;
const MAX_SAMPLE_CHARACTERS = 60;

/** `step 50: "Name a colour" → "red", the base: "the"` */
function describeSample({ step, prompt, base, adapter }: SampledAnswer): string {
  const short = (text: string) => JSON.stringify(beginningOf(text, MAX_SAMPLE_CHARACTERS));
  const answered = base === undefined ? short(adapter ?? "") : `${short(base)}, says the base`;
  return `step ${step}: ${short(prompt)} → ${answered}`;
}

/** Turns steps into the status that the display shows. */
function trainingCurve(status: StatusDisplay): Pick<RunView, "start" | "metrics" | "device"> {
  const workers: { state: WorkerStatus["state"]; cells: number; computeMs: number }[] = [];
  const losses = createCurve();
  const begin = performance.now();
  let run: { config: TrainConfig; firstStep: number; totalSteps: number; stepsPerEpoch: number } | undefined;
  let loopBegin = begin;
  let last: TrainingStatus | undefined;
  const rows = (): WorkerStatus[] => {
    const elapsed = Math.max(1, performance.now() - loopBegin);
    return workers.map(({ state, cells, computeMs }, i) => {
      return { name: `worker ${i}`, state, cells, busy: Math.min(1, computeMs / elapsed) };
    });
  };
  return {
    start(step, config, { totalSteps, plan }) {
      run = { config, firstStep: step, totalSteps, stepsPerEpoch: plan.stepsPerEpoch };
      loopBegin = performance.now();
    },
    metrics(line, report, best) {
      if (!run) return;
      if (isEvaluation(line)) {
        if (last) status.training((last = { ...last, validationLoss: line.loss, best }));
        return;
      }
      losses.add(line.loss);
      for (const [i, { cells, computeMs }] of (report?.sum.perDevice ?? []).entries()) {
        const worker = workers[i];
        if (worker) Object.assign(worker, { cells: worker.cells + cells, computeMs: worker.computeMs + computeMs });
      }
      const elapsedMs = performance.now() - begin;
      const perStep = (performance.now() - loopBegin) / (line.step - run.firstStep);
      status.training(
        (last = {
          run: run.config.out,
          step: line.step,
          totalSteps: run.totalSteps,
          epoch: line.epoch,
          totalEpochs: run.totalSteps / run.stepsPerEpoch,
          elapsedMs,
          remainingMs: perStep * (run.totalSteps - line.step),
          losses: losses.values(),
          validationLoss: last?.validationLoss,
          best,
          learningRate: line.learningRate,
          gradientNorm: line.gradientNorm,
          tokensPerSecond: line.tokensPerSecond,
          labelledTokensPerSecond: line.labelledTokensPerSecond,
          workers: rows(),
        }),
      );
    },
    device(event) {
      workers[event.device] ??= { state: "starting", cells: 0, computeMs: 0 };
      const worker = workers[event.device];
      if (worker && event.type === "worker-started") worker.state = "computing";
      if (worker && event.type === "worker-died") worker.state = event.restarts ? "starting" : "lost";
    },
  };
}
