/** Doing steps of a run again, from the checkpoint before them, and comparing each with the receipt. */
import { InputError, StepRefusedError } from "@zerogate/core";
import { verifyDirectory } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import {
  type Checkpoint,
  checkpointFolder,
  listCheckpoints,
  loadCheckpoint,
  loadReceipt,
  paramsDigest,
  type ReceiptLine,
  trainedLayout,
  workerLayout,
} from "@zerogate/run-files";
import { type DevicePool } from "@zerogate/workers";
import { noWriter } from "../team/other_ranks.ts";
import { jobOf, startDevices } from "./devices.ts";
import type { RunInputs } from "./inputs.ts";
import { stepArithmetic } from "./step_arithmetic.ts";
import { type SteppedJob, trainStep } from "./train_step.ts";
import { optimizerOptions, sharedNumbers, takeUp } from "./training_state.ts";
import type { RunView } from "./view.ts";

/** Steps `from` to `to`, both counted from 1 and included. */
export interface StepRange {
  readonly from: number;
  readonly to: number;
}

/** What doing steps again has found. */
export interface Replay {
  /** Steps of the checkpoint that it began with; 0 = from the start of the run. */
  readonly start: number;
  /** Steps that were compared and are the same. */
  readonly same: number;
  /** The first step that is not. */
  readonly difference:
    | { readonly step: number; readonly what: "loss" | "parameters"; readonly was: string; readonly is: string }
    | undefined;
}

/**
 * Trains the range again; the steps between the checkpoint and the range are done and compared as well. Nothing is written.
 *
 * @throws InputError if the range is not in the receipt, or if the run is no longer what it was trained from.
 */
export async function replayRun(
  config: TrainConfig,
  inputs: RunInputs,
  range: StepRange,
  view: Pick<RunView, "phase" | "device"> & { readonly signal: AbortSignal },
): Promise<Replay> {
  const { lines } = loadReceipt(config.out);
  const steps = new Map(lines.flatMap((line) => (isTaken(line) ? [[line.step, line] as const] : [])));
  const last = Math.max(0, ...steps.keys());
  if (range.to > last) {
    throw new InputError(`Cannot replay steps ${range.from} to ${range.to}`, `the receipt has ${last} steps`);
  }
  const checkpoint = await checkpointBefore(config.out, inputs, range.from);
  const start = checkpoint?.state.step ?? 0;
  checkIdentity(config, inputs, lines, checkpoint);

  const trained = trainedLayout(config, inputs.layout);
  const numbers = sharedNumbers(inputs.layout.length, trained.length);
  const pool = await startDevices(config, inputs, [jobOf(config, inputs, numbers.params)], view);
  try {
    checkEngine(config.out, lines, checkpoint, pool);
    const job: SteppedJob = {
      id: config.out,
      run: { config, inputs },
      pool,
      numbers,
      moments: takeUp(numbers, checkpoint, inputs),
      optimizer: optimizerOptions(config, trained.table),
      arithmetic: stepArithmetic(),
      gradient: new Float32Array(workerLayout(config, inputs.layout).length),
      writer: noWriter,
      rollbacks: 0,
    };
    let same = 0;
    for (let step = start; step < range.to; step++) {
      view.signal.throwIfAborted();
      view.phase({ name: "replaying", done: step - start, total: range.to - start });
      const line = steps.get(step + 1);
      if (line?.event === "void") continue;
      const loss = await lossOf(() => trainStep(job, inputs.plan.step(step)));
      if (!line) continue; // in a gap
      const differs = (what: "loss" | "parameters", was: string, is: string): Replay => {
        return { start, same, difference: { step: step + 1, what, was, is } };
      };
      if (loss !== line.loss) return differs("loss", String(line.loss), String(loss));
      const digest = paramsDigest(numbers.params);
      if (digest !== line.params) return differs("parameters", line.params, digest);
      same++;
    }
    return { start, same, difference: undefined };
  } finally {
    view.phase(undefined);
    await pool.close();
  }
}

type TakenLine = Extract<ReceiptLine, { event: "step" | "void" }>;

function isTaken(line: ReceiptLine): line is TakenLine {
  return line.event === "step" || line.event === "void";
}

async function lossOf(step: () => Promise<{ readonly loss: number }>): Promise<number | string> {
  try {
    return (await step()).loss;
  } catch (error) {
    if (error instanceof StepRefusedError) return "not a number that could be used";
    throw error;
  }
}

/** The newest whole one of fewer steps than `step`. */
async function checkpointBefore(runDir: string, inputs: RunInputs, step: number): Promise<Checkpoint | undefined> {
  for (const earlier of await listCheckpoints(runDir)) {
    if (earlier >= step) continue;
    const folder = checkpointFolder(runDir, earlier);
    if ((await verifyDirectory(folder)).length === 0) return await loadCheckpoint(folder, inputs.model);
  }
  return undefined;
}

function checkIdentity(
  config: TrainConfig,
  { hashes }: RunInputs,
  lines: readonly ReceiptLine[],
  checkpoint: Checkpoint | undefined,
): void {
  const attempt = `Cannot replay ${config.out}`;
  const start = checkpoint?.state.step ?? 0;
  const later = lines.find((line) => line.event === "accepted" && (line.step > start || !checkpoint));
  if (later?.event === "accepted") {
    const found = `${later.field} was changed after step ${later.step}, and steps before that need what it was`;
    throw new InputError(attempt, `${found}: name steps after the first checkpoint that follows it`);
  }
  const known = checkpoint?.state.hashes ?? (lines[0]?.event === "start" ? lines[0].hashes : undefined);
  const names = Object.keys(hashes) as (keyof typeof hashes)[];
  const accepted = new Set(lines.map((line) => (line.event === "accepted" ? line.field : "")));
  const changed = names.filter((name) => known && known[name] !== hashes[name] && !accepted.has(name));
  if (changed.length > 0)
    throw new InputError(
      attempt,
      changed.map((name) => `the ${name} is no longer what it was`),
    );
}

function checkEngine(
  runDir: string,
  lines: readonly ReceiptLine[],
  checkpoint: Checkpoint | undefined,
  { engineName }: DevicePool,
): void {
  const was = checkpoint?.state.engine ?? (lines[0]?.event === "start" ? lines[0].engine : engineName);
  if (was === engineName) return;
  throw new InputError(`Cannot replay ${runDir}`, `it was trained by engine ${was}, this is ${engineName}`);
}
