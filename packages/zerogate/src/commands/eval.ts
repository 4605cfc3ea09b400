/** `zerogate eval`: loss, perplexity and exact match of a base, or of a base with an adapter, on a data set. */
import { resolve } from "node:path";
import { adapterLayout, InputError, type ModelConfig } from "@zerogate/core";
import { cacheFolder, loadAdapter, loadWeights, readModelConfig } from "@zerogate/core/node";
import { checkVocabulary, cutCells, loadTokenizer, measureSamples, prepareTokens } from "@zerogate/data";
import { chooseEngine, deviceCount, fields, isIsolated, loadOptions, MAX_WORKERS } from "@zerogate/run-config";
import {
  countData,
  dataWarnings,
  evaluateHeldOut,
  formatCount,
  formatLoss,
  formatShare,
  locateModel,
  promptFormatOf,
  startDevices,
  workersProblem,
} from "@zerogate/trainer";
import type { DeviceEvent } from "@zerogate/workers";
import { logLevel, openLog } from "../log.ts";
import { openStatus, type StatusDisplay } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { engineFlags, numberFlag, outputBiasFlag, promptFlags } from "./flags.ts";
import { logDevice } from "./live_view.ts";

export interface EvalFlags {
  /** Default: the base that the adapter names. */
  readonly model?: string;
  readonly adapter?: string;
  readonly data: readonly string[];
  readonly template?: string;
  readonly bos?: string;
  readonly maxLength?: string;
  readonly workers?: string;
  readonly devices?: string;
  readonly isolate?: boolean;
  readonly links?: boolean;
  readonly outputBias?: string;
  readonly engine?: string;
  readonly compute?: string;
  readonly storage?: string;
  readonly skipBadRecords?: boolean;
  readonly strictTensors?: boolean;
  readonly json?: boolean;
}

/** Tokens computed together; has no influence on the result beyond rounding. */
const CELL_TOKENS = 2048;

/** Workers are replaced as a run's are. */
const DEVICE_RULES = { cellTokens: CELL_TOKENS, workerTimeout: fields.workerTimeout.fallback ?? 0 };

export async function evalCommand(flags: EvalFlags, context: CommandContext): Promise<ExitCode> {
  const opened = await openBase(flags, context);
  const status = openStatus(context.stderr, context.env);
  try {
    for (const warning of opened.warnings) status.log(warning);
    const data = await prepare(opened, flags, status, context);
    const result = await evaluate(opened, data, status, context);
    const samples = data.prepared.stats.samples;
    status.stop();
    if (flags.json) printJson(context, { ...result, samples, data: data.counts });
    else context.stdout.write(describe(result, samples));
    return 0;
  } finally {
    status.stop();
  }
}

/** Base, adapter, tokenizer and engine, all checked before any data is read. */
async function openBase(flags: EvalFlags, context: CommandContext) {
  const given = flags.adapter === undefined ? [] : [`${flags.adapter}=adapter`];
  const wanted = { model: flags.model, adapters: given, links: flags.links };
  const { folder, adapters } = await locateModel(wanted, (note) => context.stderr.write(`${note}\n`));
  const warnings: string[] = [];
  const config = await readModelConfig(folder, {
    onWarning: (warning) => warnings.push(warning),
    strictTensors: flags.strictTensors ?? false,
  });
  const { maxLength, devices } = evalNumbers(flags, config);
  const choice = await chooseEngine(devices, config, 1);
  const outputBias = outputBiasFlag(flags);
  const adapter = adapters[0] && (await loadAdapter(adapters[0].folder, config, { outputBias }));
  const tokenizer = await loadTokenizer(folder, config);
  const mismatch = checkVocabulary(tokenizer, config.vocabSize);
  warnings.push(...(adapter?.warnings ?? []), ...(mismatch ? [mismatch] : []));
  return { folder, config, maxLength, devices, choice, adapter, tokenizer, warnings };
}

type OpenedBase = Awaited<ReturnType<typeof openBase>>;

/** The numbers among the flags, all problems at once. */
function evalNumbers(flags: EvalFlags, { contextLength }: ModelConfig) {
  const problems: string[] = [];
  const lengths = { min: 2, max: contextLength, whole: true };
  const maxLength = numberFlag("--max-length", flags.maxLength, Math.min(512, contextLength), lengths, problems);
  const engine = engineFlags(flags);
  const allDevices = engine.devices?.length ?? deviceCount(engine.engine);
  const most = { min: 1, max: MAX_WORKERS, whole: true };
  const workers = numberFlag("--workers", flags.workers, allDevices, most, problems);
  const tooMany = workersProblem(workers);
  if (tooMany !== undefined) problems.push(tooMany);
  if (problems.length > 0) throw new InputError("Cannot evaluate", problems);
  return { maxLength, devices: { ...engine, workers, isolate: flags.isolate ?? false, ...DEVICE_RULES } };
}

/** The data in tokens, and what became of its records, which is said. */
async function prepare(
  { adapter, tokenizer, maxLength }: OpenedBase,
  flags: EvalFlags,
  status: StatusDisplay,
  context: CommandContext,
) {
  const used = adapter && { ...adapter, folder: flags.adapter ?? "" };
  const { template, bos } = await promptFormatOf(used, promptFlags(flags), tokenizer, status.log);
  const prepared = await prepareTokens({
    paths: flags.data,
    tokenizer,
    template,
    bos,
    rule: "response",
    maxLength,
    skipBad: flags.skipBadRecords ?? false,
    cacheDir: cacheFolder(context.env),
    onWarning: status.log,
    onProgress: (done, total) => status.phase({ name: "tokenising", done, total }),
    signal: context.signal,
  });
  const counts = countData("data", prepared, { maxLength, eosId: tokenizer.eosId });
  for (const warning of dataWarnings(counts)) status.log(warning);
  return { prepared, template, counts };
}

async function evaluate(
  { folder, config, devices, choice, adapter, tokenizer }: OpenedBase,
  { prepared, template }: Awaited<ReturnType<typeof prepare>>,
  status: StatusDisplay,
  context: CommandContext,
) {
  const options = loadOptions(choice);
  const weights = isIsolated(devices, choice)
    ? { folder: resolve(folder), ...options }
    : await loadWeights(folder, config, options);
  // The pool wants an adapter's shape; without an adapter the smallest one stands there and is never used.
  const none = { promptLength: 1, adaptedLayers: 1, gateSharing: "scalar", gateActivation: "none" } as const;
  const layout = adapterLayout(adapter?.shape ?? none, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  if (adapter) params.set(adapter.params);
  const { logger } = openLog({ level: logLevel(undefined, context.env), print: status.log });
  const view = { phase: status.phase, device: (event: DeviceEvent) => logDevice(logger, event) };
  const work = { engine: choice, model: config, weights, layout, train: prepared, heldOut: undefined, maxCells: 1 };
  const pool = await startDevices(devices, work, params, view);
  status.phase({ name: "evaluating" });
  try {
    context.signal.throwIfAborted();
    context.signal.addEventListener("abort", () => void pool.close(), { once: true });
    const samples = Array.from({ length: prepared.stats.samples }, (_, i) => i);
    const cells = cutCells(samples, measureSamples(prepared.tokens).lengths, CELL_TOKENS);
    const heldOut = { set: "train", ...prepared, samples, cells } as const;
    return await evaluateHeldOut(pool, heldOut, { tokenizer, template }, adapter !== undefined, 0).catch(
      (error: unknown) => {
        context.signal.throwIfAborted(); // the closed pool's own complaint says nothing to anybody
        throw error;
      },
    );
  } finally {
    await pool.close();
  }
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
