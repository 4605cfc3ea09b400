/**
 * `zerogate eval`: loss, perplexity and exact match of a base, or of a base with an adapter, on a data set. With images also
 * without them and with others', and of ScienceQA the accuracy by class.
 */
import { adapterLayout, InputError, type ModelConfig } from "@zerogate/core";
import { cacheFolder, type LoadedAdapter, loadAdapter } from "@zerogate/core/node";
import { deviceCount, fields, MAX_TOKENS, MAX_WORKERS } from "@zerogate/run-config";
import {
  evaluateHeldOut,
  evaluateWritten,
  formatCount,
  formatLoss,
  formatShare,
  lengthFor,
  loadBase,
  locateModel,
  type OpenedBase,
  type OpenedTower,
  openBase,
  openData,
  openTowerOf,
  promptFormatOf,
  queryMakerOf,
  startDevices,
  type WrittenEvaluation,
  wholeSet,
  workersProblem,
} from "@zerogate/trainer/command";
import type { DeviceEvent, DeviceJob } from "@zerogate/workers";
import { logLevel, openLog } from "../log.ts";
import { openStatus, type StatusDisplay } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { type AnswerFlags, describeAnswers, evaluateAnswers, readingOf } from "./eval_answers.ts";
import { evalTasksCommand, type TaskFlags } from "./eval_tasks.ts";
import { describeWritten } from "./eval_written.ts";
import { engineFlags, numberFlag, outputBiasFlag, promptFlags } from "./flags.ts";
import { fetchMissing } from "./hub_names.ts";
import { logDevice } from "./live_view.ts";

export interface EvalFlags extends Omit<AnswerFlags, "data">, Omit<TaskFlags, "task"> {
  /** One of both. */
  readonly data?: readonly string[];
  readonly task?: readonly string[];
  /** Default: the base that the adapter names. */
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly template?: string;
  /** Default: that which the adapter names. */
  readonly tower?: string;
  readonly acceptTower?: boolean;
  readonly imageRoot?: string;
  readonly bos?: string;
  readonly maxLength?: string;
  readonly workers?: string;
  readonly isolate?: boolean;
  /** Also write answers, and compare them with the expected ones. */
  readonly generate?: boolean;
  readonly skipBadRecords?: boolean;
  readonly download?: boolean;
  readonly json?: boolean;
}

/** Tokens computed together; has no influence on the result beyond rounding. */
const CELL_TOKENS = 2048;

/** Workers are replaced as a run's are. */
const DEVICE_RULES = { cellTokens: CELL_TOKENS, workerTimeout: fields.workerTimeout.fallback ?? 0 };

export async function evalCommand(flags: EvalFlags, context: CommandContext): Promise<ExitCode> {
  const { data, task, adapter: adapters = [] } = flags;
  const attempt = "Cannot evaluate";
  if (data && task) throw new InputError(attempt, "--data and --task are both given: use one of them at a time");
  if (task && flags.fields)
    throw new InputError(attempt, "--fields is given, which is for --data: tasks have fields of their own");
  if (task && flags.generate) throw new InputError(attempt, "--generate is given, which is for --data: leave it out");
  if (task) return await evalTasksCommand({ ...flags, task }, numbersOf(flags).workers, context);
  if (!data) throw new InputError(attempt, "neither --data nor --task is given: name instruction files or a benchmark");
  if (adapters.length > 1) {
    throw new InputError(attempt, `${adapters.length} adapters are given: --data takes one, --task any number`);
  }
  for (const name of ["limit", "shots", "shotsFrom", "shotsSeed", "out"] as const) {
    if (flags[name] !== undefined && !(name === "limit" && flags.generate))
      throw new InputError(attempt, `${flagOf(name)} is given, which is for --task: leave it out`);
  }
  return await evalData({ ...flags, data, adapter: adapters[0] }, context);
}

/** Flags of an evaluation on records. */
type DataFlags = Omit<EvalFlags, "adapter" | "data" | "task"> & {
  readonly data: readonly string[];
  readonly adapter: string | undefined;
};

const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

async function evalData(flags: DataFlags, context: CommandContext): Promise<ExitCode> {
  const status = openStatus(context.stderr, context.env);
  try {
    await fetchMissing([flags.model, flags.adapter, flags.tower], flags.download, context);
    const opened = await open(flags, status);
    const data = await prepare(opened, flags, status, context);
    const weights = await loadBase(opened.base, status.phase);
    const { written, ...result } = await evaluate(opened, weights, data, flags, status, context);
    const loaded = "folder" in weights ? undefined : weights;
    const answers = await evaluateAnswers({ ...opened, ...data, weights: loaded }, flags, status, context);
    const { samples } = data.prepared.stats;
    status.stop();
    if (flags.json)
      printJson(context, { ...result, samples, data: data.counts, ...(written && { written }), ...answers });
    else {
      const parts = [
        describe(result, samples),
        written && describeWritten(written),
        answers && describeAnswers(answers),
      ];
      context.stdout.write(parts.filter(Boolean).join(""));
    }
    return 0;
  } finally {
    status.stop();
  }
}

interface Opened {
  readonly base: OpenedBase;
  readonly adapter: (LoadedAdapter & { readonly folder: string }) | undefined;
  /** What the adapter sees images through; undefined if it was trained without. */
  readonly tower: OpenedTower | undefined;
  readonly workers: number;
  readonly maxLength: number;
}

/** Base and adapter, checked before any data is read. */
async function open(flags: DataFlags, { log }: StatusDisplay): Promise<Opened> {
  const { workers, maxLength } = numbersOf(flags);
  const { links = true, isolate = false, strictTensors = false, tokenizer = "model" } = flags;
  const given = flags.adapter === undefined ? [] : [`${flags.adapter}=adapter`];
  const { folder, adapters } = await locateModel({ model: flags.model, adapters: given, links }, log);
  const settings = { ...engineFlags(flags), workers, isolate, links, strictTensors, tokenizer };
  const base = await openBase({ ...settings, model: folder }, log);
  const [named] = adapters;
  const loaded = named && (await loadAdapter(named.folder, base.model, { outputBiasTimes: outputBiasFlag(flags) }));
  for (const warning of loaded?.warnings ?? []) log(warning);
  const adapter = loaded && { ...loaded, folder: flags.adapter ?? named.folder };
  const seeing = adapter && (await openTowerOf(adapter, { ...flags, links }, log));
  const layout = adapter && seeing && adapterLayout(adapter.shape, base.model);
  const tower = seeing && { ...seeing, queries: layout && queryMakerOf({ layout, params: adapter.params }) };
  if (!tower && flags.tower !== undefined) {
    const who = adapter ? `the adapter ${adapter.folder} was trained without images` : "the base alone sees none";
    throw new InputError("Cannot evaluate with images", `${who}: leave out --tower`);
  }
  return { base, adapter, tower, workers, maxLength: lengthFor(maxLength, base.model) };
}

/** The numbers among the flags, all problems at once. */
function numbersOf(flags: Pick<EvalFlags, "engine" | "compute" | "storage" | "devices" | "workers" | "maxLength">): {
  readonly workers: number;
  readonly maxLength: number | undefined;
} {
  const problems: string[] = [];
  const { engine, devices } = engineFlags(flags);
  const most = { min: 1, max: MAX_WORKERS, whole: true };
  const workers = numberFlag("--workers", flags.workers, devices?.length ?? deviceCount(engine), most, problems);
  const lengths = { min: 2, max: MAX_TOKENS, whole: true };
  const maxLength = numberFlag("--max-length", flags.maxLength, 0, lengths, problems);
  const tooMany = workersProblem(workers);
  if (tooMany !== undefined) problems.push(tooMany);
  if (problems.length > 0) throw new InputError("Cannot evaluate", problems);
  return { workers, maxLength: flags.maxLength === undefined ? undefined : maxLength };
}

/** The data in tokens, and what became of its records, which is reported. */
async function prepare(
  { base, adapter, tower, maxLength }: Opened,
  flags: DataFlags,
  status: StatusDisplay,
  { env, signal }: CommandContext,
) {
  const { data: paths, skipBadRecords = false } = flags;
  const format = await promptFormatOf(adapter, promptFlags(flags), base.tokenizer, status.log);
  const { template } = format;
  const reading = readingOf(flags);
  const request = {
    ...format,
    ...reading,
    name: "data",
    paths,
    labels: "response",
    maxLength,
    skipBadRecords,
  } as const;
  const progress = { onPhase: status.phase, onWarning: status.log, signal };
  const { prepared, counts } = await openData(
    base.tokenizer,
    { ...request, tower, cacheDir: cacheFolder(env) },
    progress,
  );
  return { prepared, counts, template, format };
}

async function evaluate(
  { base, adapter, workers }: Opened,
  weights: Awaited<ReturnType<typeof loadBase>>,
  { prepared, template }: Awaited<ReturnType<typeof prepare>>,
  flags: DataFlags,
  status: StatusDisplay,
  { env, signal }: CommandContext,
): Promise<Awaited<ReturnType<typeof evaluateHeldOut>> & { readonly written?: WrittenEvaluation }> {
  const { model, engine, isIsolated, tokenizer } = base;
  const count = limitOf(flags);
  const jobs = adapter ? [jobOf(adapter, model)] : [];
  const { logger } = openLog({ level: logLevel(undefined, env), print: status.log });
  const view = { phase: status.phase, device: (event: DeviceEvent) => logDevice(logger, event) };
  const work = { engine, model, weights, train: prepared, heldOut: undefined, maxCells: 1 };
  const pool = await startDevices({ ...DEVICE_RULES, workers, isolate: isIsolated }, work, jobs, view);
  status.phase({ name: "evaluating" });
  try {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => void pool.close(), { once: true });
    const heldOut = wholeSet("train", prepared, CELL_TOKENS);
    const own = adapter && { job: JOB, version: 0 };
    const result = await evaluateHeldOut(pool, heldOut, { tokenizer, template }, own);
    if (!flags.generate) return result;
    const models = [{ name: "base", adapter: undefined }, ...(own ? [{ name: "adapter", adapter: own }] : [])];
    const onProgress = (done: number, total: number) => status.phase({ name: "answering", done, total });
    const written = await evaluateWritten({
      pool,
      heldOut,
      tokenizer,
      template,
      model,
      models,
      count,
      onProgress,
      signal,
    });
    return { ...result, written };
  } catch (error) {
    signal.throwIfAborted(); // the closed pool's own complaint says nothing to anybody
    throw error;
  } finally {
    await pool.close();
  }
}

/** How many answers are written. */
function limitOf({ limit }: Pick<DataFlags, "limit">): number {
  const problems: string[] = [];
  const count = numberFlag("--limit", limit, Number.MAX_SAFE_INTEGER, { min: 1, max: 1e9, whole: true }, problems);
  if (problems.length > 0) throw new InputError("Cannot evaluate", problems);
  return count;
}

/** The name of the adapter in the pool of workers. */
const JOB = "adapter";

function jobOf({ shape, params: numbers }: LoadedAdapter, config: ModelConfig): DeviceJob {
  const layout = adapterLayout(shape, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(numbers);
  return { id: JOB, layout, params };
}

function describe(result: Awaited<ReturnType<typeof evaluateHeldOut>>, samples: number): string {
  const { loss, perplexity, labelledTokens, exactMatch } = result;
  const rows = [
    ["loss", `${formatLoss(loss)} nats per labelled token`],
    ["perplexity", perplexity.toPrecision(5)],
    ["exact match", `${formatShare(exactMatch)} of ${formatCount(samples)} answers`],
    ["labelled", `${formatCount(labelledTokens)} tokens`],
  ];
  return `${rows.map(([name, value]) => `${name?.padEnd(13)}${value}`).join("\n")}\n`;
}
