/** Starts a server: it listens at once, and answers once the base is loaded. */
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError } from "@zerogate/core";
import { loadBase, locateModel, openBase } from "@zerogate/trainer/command";
import { openLoader } from "./adapters/loader.ts";
import { openRegistry } from "./adapters/registry.ts";
import type { Served } from "./api/served.ts";
import { servedBase } from "./base/served_base.ts";
import { deferred } from "./deferred.ts";
import { isLoopback, openGuard } from "./http/guard.ts";
import { type Listener, listen } from "./http/listen.ts";
import { createRouter, type ServerState } from "./http/router.ts";
import { openMetrics } from "./metrics/server_metrics.ts";
import type { RunningServer, ServerOptions, ServerView } from "./options.ts";
import { TextPool } from "./replicas/pool.ts";
import { startWorker } from "./worker/start_worker.ts";

/**
 * Serves a base with adapters over OpenAI's API.
 *
 * @throws InputError for what cannot be used, DamagedError for files that are not as they were written.
 * @example
 * const server = await startServer({ model: "models/base", adapters: ["runs/first=mine"], port: 0 });
 * await fetch(`${server.url}/v1/models`);
 * await server.close();
 */
export async function startServer(options: ServerOptions, view: ServerView = {}): Promise<RunningServer> {
  const { host = "127.0.0.1", port = 8000, tokens = [], allowedHosts = [], corsOrigins = [] } = options;
  checkReach(host, options);
  const { onWarning = () => {}, onRequest = () => {} } = view;
  let state: ServerState = { phase: "loading", served: undefined };
  const known = new Set<string>();
  const router = createRouter({
    guard: openGuard({ host, allowedHosts, corsOrigins, tokens }),
    maxBody: options.maxBody ?? 2 ** 20,
    state: () => state,
    onRequest,
    onIgnored(fields) {
      const fresh = fields.filter((field) => !known.has(field) && known.size < MOST_IGNORED);
      for (const field of fresh) known.add(field);
      if (fresh.length > 0) onWarning(`requests have fields that nothing here knows: ${fresh.join(", ")}`);
    },
  });
  const listener = await listen({ host, port, maxConnections: options.maxConnections ?? 256 }, router);
  const lost = deferred<Error>();
  try {
    const served = await openServed(options, view, (reason) => {
      state = { ...state, phase: "lost" };
      lost.resolve(reason);
    });
    state = { phase: "ready", served };
    const address = host.includes(":") ? `[${host}]` : host;
    return {
      url: `http://${address}:${listener.port}`,
      name: served.base.name,
      adapters: served.adapters.all.map(({ name }) => name),
      lost: lost.promise,
      async close() {
        state = { ...state, phase: "draining" };
        await endServed(served, listener, options.drain ?? 30);
      },
    };
  } catch (error) {
    listener.cut();
    await listener.end();
    throw error;
  }
}

/** Names of fields that are reported; a client could send any number. */
const MOST_IGNORED = 100;

function checkReach(host: string, { tokens = [], corsOrigins = [] }: ServerOptions): void {
  if (!isLoopback(host) && tokens.length === 0) {
    const found = "other machines reach it there, and no token is asked for";
    throw new InputError(`Cannot listen on ${host}`, `${found}: give one with --token-file or ZEROGATE_TOKEN`);
  }
  if (corsOrigins.includes("*")) {
    const problem = "* would let every page in a browser ask: name the origins";
    throw new InputError("Cannot allow pages of all origins", problem);
  }
}

/** Loads base and adapters, and starts the workers. */
async function openServed(options: ServerOptions, view: ServerView, onLost: (reason: Error) => void): Promise<Served> {
  const { onWarning = () => {}, onPhase = () => {}, onNote = () => {}, onWorker = () => {} } = view;
  const { engine = "auto", compute = "auto", storage = "as-is", packing = "auto", devices } = options;
  const { links = true, strictTensors = false, tokenizer = "model", workers = 1, maxRunning = 16 } = options;
  const located = await locateModel({ model: options.model, adapters: options.adapters ?? [], links }, onNote);
  const settings = { engine, compute, storage, packing, devices, links, strictTensors, workers, isolate: false };
  const threads = Math.max(1, Math.floor(availableParallelism() / workers));
  const opened = await openBase({ ...settings, model: located.folder, tokenizer }, onWarning, threads);
  const flags = { template: options.template, bos: options.bos };
  const base = await servedBase(opened, { ...flags, name: options.name }, onWarning);
  const weights = await loadBase(opened, onPhase);
  onPhase(undefined);
  if (!("bytes" in weights)) {
    const found = "it needs a process of its own for each worker, and a server's workers are threads";
    throw new InputError(`Cannot serve with the engine ${opened.engine.name}`, `${found}: take another engine`);
  }
  const { keptTexts = 16, passTokens = 256, keptPrompts = 64, kvTokens } = options;
  const setup = {
    engine: { module: opened.engine.module, options: opened.engine.options },
    config: opened.model,
    weights,
    limits: { maxRunning, passTokens, keptTexts, keptPrompts, kvTokens },
    trie: base.trie,
  };
  const pool = new TextPool({
    workers,
    maxRunning,
    maxWaiting: options.maxWaiting ?? 64,
    keptTexts,
    patienceMs: 1000 * (options.workerTimeout ?? 60),
    start: (device, listener) => startWorker({ ...setup, device }, listener),
    onEvent(event) {
      onWorker(event);
      if (event.type === "pool-lost") onLost(event.reason);
    },
  });
  try {
    const adapters = openRegistry((adapter) => pool.drop(adapter));
    const { allowAdapterChanges = false, adapterDir, outputBias } = options;
    const rules = { ...flags, links, outputBias, allowAdapterChanges, adapterDir };
    const loader = openLoader(base, adapters, pool, rules, onWarning);
    for (const { name, folder } of located.adapters) await loader.register(name, folder);
    await pool.ready;
    const { requestTimeout } = options;
    const requestTimeoutMs = requestTimeout === undefined ? undefined : 1000 * requestTimeout;
    const isBatchInvariant = opened.engine.traits.keepsRowBits === true;
    const metrics = openMetrics(pool, adapters);
    return { base, adapters, loader, pool, metrics, settings: { isBatchInvariant, requestTimeoutMs } };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/** Lets texts end, then ends what is left. */
async function endServed({ pool, metrics }: Served, listener: Listener, seconds: number): Promise<void> {
  const ended = listener.end();
  await Promise.race([pool.idle(), sleep(1000 * seconds, undefined, { ref: false })]);
  await pool.close();
  metrics.close();
  await Promise.race([ended, sleep(LAST_BYTES_MS, undefined, { ref: false })]);
  listener.cut();
  await ended;
}

/** Answers that are made have this long to reach their clients. */
const LAST_BYTES_MS = 2000;
