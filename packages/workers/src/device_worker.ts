/**
 * Worker thread of one device: engine, frozen base and a copy of each job's parameters. A pure function of
 * (parameters, cell), it holds no training state. Runs as the only task of a Piscina pool, see thread_container.ts.
 */
import { setImmediate } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import {
  type AdapterState,
  type Cell,
  cellGradient,
  cellScores,
  createModel,
  type DecoderModel,
  generate,
  InputError,
  scoreCells,
  type WeightImage,
} from "@zerogate/core";
import { cancellable, type Engine } from "@zerogate/core/engine";
import { checkBase, loadWeights, packSamples } from "@zerogate/core/node";
import {
  addCell,
  addFixedPoint,
  clearSlot,
  type LimitRange,
  limitRanges,
  type Slot,
  sum,
} from "@zerogate/core/training";
import { expose } from "comlink";
import { keepErrorClasses } from "./comlink_errors.ts";
import type {
  AdapterVersion,
  ClosableEngine,
  CreateEngine,
  DeviceApi,
  DeviceJob,
  DeviceSetup,
  EngineModule,
  WeightFolder,
} from "./device_api.ts";
import { monotonicMs } from "./monotonic.ts";
import { beatingEngine, beatOf, type Pulse, signPulse } from "./pulse.ts";

/** What the thread of a device is given at its start. */
export interface ServeTask {
  readonly port: MessagePort;
  readonly pulse: Pulse;
  /** Over shared memory: once element 0 is not 0, the engine of the thread stops. */
  readonly cancel: Int32Array;
}

/**
 * Answers calls on `port` until the other end closes it, then closes the engine: a thread that is terminated runs no handlers of
 * its own. The first message says that it is about to answer.
 */
export function serve({ port, pulse, cancel }: ServeTask): Promise<void> {
  keepErrorClasses();
  signPulse(pulse);
  return new Promise((resolve) => {
    const { api, close } = createDevice(pulse, cancel);
    port.once("close", () => resolve(close()));
    port.postMessage("serving");
    expose(api, port);
  });
}

/** A job as this worker holds it. */
interface HeldJob extends DeviceJob {
  readonly limits: readonly LimitRange[];
  snapshot: { readonly version: number; readonly adapter: AdapterState } | undefined;
  /** Of the cell that is computed. */
  readonly gradient: Float32Array;
}

interface Loaded {
  readonly tokens: DeviceSetup["tokens"];
  readonly model: DecoderModel;
  /** Adds a cell's gradient to its slot. */
  readonly add: typeof addFixedPoint;
  readonly jobs: ReadonlyMap<string, HeldJob>;
}

function createDevice(pulse: Pulse, cancel: Int32Array): { api: DeviceApi; close: () => Promise<void> } {
  let loaded: Loaded | undefined;
  let made: Promise<ClosableEngine> | undefined;

  const ready = () => {
    if (!loaded) throw new RangeError("Cannot use a device: it has no model, `load` comes first");
    return loaded;
  };
  const heldJob = (id: string) => {
    const { jobs } = ready();
    const job = jobs.get(id);
    if (!job) throw new RangeError(`Cannot use job "${id}": this device has ${[...jobs.keys()].join(", ") || "none"}`);
    return job;
  };
  const adapterAt = ({ job, version }: AdapterVersion) => adapterOf(heldJob(job), version);

  const api: DeviceApi = {
    async load({ engine: { module, options }, sums, config, weights, jobs, tokens }, device) {
      beatOf(pulse, "createEngine")();
      const createEngine = await importEngine(module);
      made = Promise.resolve(createEngine({ ...options, cancel }, device));
      const engine = beatingEngine(cancellable(await withSums(await made, sums), cancel), pulse);
      const image = "bytes" in weights ? weights : await readWeights(weights, config, beatOf(pulse, "loadWeights"));
      const held = jobs.map((job) => ({
        ...job,
        limits: limitRanges(job.layout.table),
        snapshot: undefined,
        gradient: new Float32Array(job.layout.length),
      }));
      const model = createModel(engine, config, image);
      loaded = {
        tokens,
        model,
        add: engine.addFixedPoint ?? addFixedPoint,
        jobs: new Map(held.map((job) => [job.id, job])),
      };
      return { engineName: engine.name };
    },

    async computeCell({ cell, samples, scale, slot, clears, ...at }) {
      const startedAt = monotonicMs();
      const { tokens, model, add } = ready();
      const packed = packSamples(tokens.train, samples);
      const labelledTokens = packed.labels_R.length;
      const { limits, sharesBeginnings, skipsUnlabelled, gradient: into } = heldJob(at.job);
      const [{ lossSum, gradient }] = await Promise.all([
        cellGradient(model, adapterAt(at), packed, scale, { sharesBeginnings, skipsUnlabelled, into }),
        clears && clearLater(slot),
      ]);
      const sums = { cell, gradient, lossSum, labelledTokens };
      const bad = addCell(slot, sums, add, limits);
      return { cell, lossSum, labelledTokens, bad, computeMs: monotonicMs() - startedAt, startedAt };
    },

    async evaluateCell({ set, samples, adapter }) {
      const { tokens, model } = ready();
      const chosen = tokens[set];
      if (!chosen) throw new RangeError(`Cannot evaluate on "${set}": there is ${Object.keys(tokens).join(", ")}`);
      const packed = packSamples(chosen, samples);
      const { nll_R, hit_R } = await cellScores(model, adapter && adapterAt(adapter), packed);
      return { lossSum: sum(nll_R), labelledTokens: nll_R.length, exactSamples: exactSamples(packed, hit_R) };
    },

    scoreCell: async ({ cell, adapters }) =>
      scoreCells(
        ready().model,
        adapters.map((adapter) => ({ adapter: adapter && adapterAt(adapter), cell })),
      ),

    async generate({ promptIds, adapter, options }) {
      const tokens = generate(ready().model, adapter && adapterAt(adapter), promptIds, options);
      const ids: number[] = [];
      let next = await tokens.next();
      for (; !next.done; next = await tokens.next()) ids.push(next.value);
      return { ids, finishReason: next.value };
    },
  };
  const close = async () => (await made)?.close?.();
  return { api, close };
}

/** Copies a job's parameters, so that a request computes with one set of them whatever the coordinator does meanwhile. */
function adapterOf(job: HeldJob, version: number): AdapterState {
  const { layout, params } = job;
  if (job.snapshot?.version !== version) {
    const copy = job.snapshot?.adapter.params ?? new Float32Array(layout.length); // new memory takes longer than copying
    copy.set(params);
    job.snapshot = { version, adapter: { layout, params: copy } };
  }
  return job.snapshot.adapter;
}

/** Empties a slot once the engine has its work: while a GPU computes. */
async function clearLater(slot: Slot): Promise<void> {
  await setImmediate();
  clearSlot(slot);
}

/** A base that is replaced while it is read is found afterwards. */
async function readWeights(
  { folder, base, ...options }: WeightFolder,
  config: DeviceSetup["config"],
  beat: () => void,
): Promise<WeightImage> {
  const stamp = base && (await checkBase(folder, base));
  const image = await loadWeights(folder, config, { ...options, onProgress: beat });
  if (base && stamp !== undefined) await checkBase(folder, { ...base, stamp });
  return image;
}

/** Samples whose labelled tokens are all hit. */
function exactSamples({ cuSeqlens, rows_R }: Cell, hit_R: Float32Array): number {
  let exact = 0;
  for (let s = 0, r = 0; s + 1 < cuSeqlens.length; s++) {
    const end = cuSeqlens[s + 1] ?? 0;
    let isExact = true;
    for (; r < rows_R.length && (rows_R[r] ?? end) < end; r++) if (hit_R[r] !== 1) isExact = false;
    if (isExact) exact++;
  }
  return exact;
}

/** The engine with what a module computes on the host, unless it does that itself: the bits are the same. */
async function withSums(engine: Engine, sums: string | undefined): Promise<Engine> {
  if (sums === undefined) return engine;
  const native = (await import(sums)) as Partial<Pick<Engine, "addFixedPoint" | "wideLinear" | "wideLinearBackward">>;
  const { addFixedPoint: add, wideLinear, wideLinearBackward } = native;
  return {
    ...(add && { addFixedPoint: add }),
    ...(wideLinear && wideLinearBackward && { wideLinear, wideLinearBackward }),
    ...engine,
  };
}

async function importEngine(module: EngineModule["module"]): Promise<CreateEngine> {
  let exported: { readonly createEngine?: unknown };
  try {
    exported = await import(module);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InputError(`Cannot load engine "${module}"`, reason, { cause });
  }
  if (!isCreateEngine(exported.createEngine)) {
    throw new InputError(`Cannot load engine "${module}"`, "the module exports no function createEngine");
  }
  return exported.createEngine;
}

function isCreateEngine(value: unknown): value is CreateEngine {
  return typeof value === "function";
}
