/**
 * Worker thread of one device: engine, frozen base and a copy of the adapter's parameters. A pure function of
 * (parameters, cell), it holds no training state. Runs as the only task of a Piscina pool, see thread_host.ts.
 */
import type { MessagePort } from "node:worker_threads";
import {
  type AdapterState,
  addCell,
  type Cell,
  cancellable,
  cellGradient,
  cellScores,
  createModel,
  type DecoderModel,
  generate,
  InputError,
  type LimitRange,
  limitRanges,
  packCell,
  sum,
  type WeightImage,
} from "@zerogate/core";
import { checkBase, loadWeights } from "@zerogate/core/node";
import { expose } from "comlink";
import { keepErrorClasses } from "./comlink_errors.ts";
import type { CreateEngine, DeviceApi, DeviceSetup, EngineModule, WeightFolder } from "./device_api.ts";
import { beatingEngine, beatOf, type Pulse, signPulse } from "./pulse.ts";

/** What the thread of a device is given at its start. */
export interface ServeTask {
  readonly port: MessagePort;
  readonly pulse: Pulse;
  /** Over shared memory: once element 0 is not 0, the engine of the thread stops. */
  readonly cancel: Int32Array;
}

/** Answers calls on `port` until the other end closes it. The first message says that it is about to. */
export function serve({ port, pulse, cancel }: ServeTask): Promise<void> {
  keepErrorClasses();
  signPulse(pulse);
  return new Promise((resolve) => {
    port.once("close", resolve);
    port.postMessage("serving");
    expose(createDevice(pulse, cancel), port);
  });
}

interface Loaded {
  readonly setup: DeviceSetup;
  readonly limits: readonly LimitRange[];
  readonly model: DecoderModel;
}

function createDevice(pulse: Pulse, cancel: Int32Array): DeviceApi {
  let loaded: Loaded | undefined;
  let snapshot: { readonly version: number; readonly adapter: AdapterState } | undefined;

  const ready = () => {
    if (!loaded) throw new RangeError("Cannot use a device: it has no model, `load` comes first");
    return loaded;
  };
  /** A copy, so that a job computes with one set of parameters whatever the coordinator does meanwhile. */
  const adapterAt = (version: number) => {
    if (snapshot?.version !== version) {
      const { layout, params } = ready().setup;
      snapshot = { version, adapter: { layout, params: params.slice() } };
    }
    return snapshot.adapter;
  };

  return {
    async load(setup, device) {
      beatOf(pulse, "createEngine")();
      const createEngine = await importEngine(setup.engine);
      const made = await createEngine({ ...setup.engine.options, cancel }, device);
      const engine = beatingEngine(cancellable(made, cancel), pulse);
      const { config, weights } = setup;
      const image = "bytes" in weights ? weights : await readWeights(weights, config, beatOf(pulse, "loadWeights"));
      loaded = { setup, limits: limitRanges(setup.layout.table), model: createModel(engine, config, image) };
      return { engineName: engine.name };
    },

    async computeCell({ cell, samples, scale, version, slot }) {
      const begin = performance.now();
      const { setup, model, limits } = ready();
      const packed = packCell(setup.tokens.train, samples);
      const labelledTokens = packed.labels_R.length;
      const { lossSum, gradient } = await cellGradient(model, adapterAt(version), packed, scale);
      const bad = addCell(slot, { cell, gradient, lossSum, labelledTokens }, model.engine.addFixedPoint, limits);
      return { cell, lossSum, labelledTokens, bad, computeMs: performance.now() - begin };
    },

    async evaluateCell({ set, samples, adapter, version }) {
      const { setup, model } = ready();
      const tokens = setup.tokens[set];
      if (!tokens)
        throw new RangeError(`Cannot evaluate on "${set}": there is ${Object.keys(setup.tokens).join(", ")}`);
      const packed = packCell(tokens, samples);
      const { nll_R, hit_R } = await cellScores(model, adapter ? adapterAt(version) : undefined, packed);
      return { lossSum: sum(nll_R), labelledTokens: nll_R.length, exactSamples: exactSamples(packed, hit_R) };
    },

    async generate({ promptIds, adapter, version, options }) {
      const tokens = generate(ready().model, adapter ? adapterAt(version) : undefined, promptIds, options);
      const ids: number[] = [];
      let next = await tokens.next();
      for (; !next.done; next = await tokens.next()) ids.push(next.value);
      return { ids, finishReason: next.value };
    },
  };
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

async function importEngine({ module }: EngineModule): Promise<CreateEngine> {
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
