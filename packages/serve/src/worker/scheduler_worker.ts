/**
 * Worker thread of one replica: engine, frozen base, adapters by number, and the scheduler of texts. It answers all texts of a pass in
 * one message, and keeps nothing that another worker could not make again.
 */
import { nextTick } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import {
  type AdapterState,
  createModel,
  openPromptCache,
  openScheduler,
  type PromptCache,
  type Scheduler,
  type SubmittedText,
  type TokenConstraint,
} from "@zerogate/core";
import { cancellable } from "@zerogate/core/engine";
import { encodeError } from "@zerogate/core/training";
import { beatingEngine, beatOf, type CreateEngine, signPulse } from "@zerogate/workers";
import { openConstraints } from "./constraints.ts";
import { keepingPrompts } from "./kept_prompts.ts";
import type { FromWorker, TextOrder, TextReport, ToWorker, WorkerSetup } from "./messages.ts";

interface Opened {
  readonly scheduler: Scheduler;
  readonly prompts: PromptCache;
  readonly constraintOf: (schema: unknown) => TokenConstraint;
  close(): Promise<void>;
}

const port = parentPort;
const adapters = new Map<number, AdapterState>();
const texts = new Map<number, SubmittedText>();

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const say = (message: FromWorker): void => port?.postMessage(message);

let events: TextReport[] = [];
/** Sends what came of a pass once all readers of its texts have run. */
function report(event: TextReport): void {
  if (events.length === 0) {
    nextTick(() => {
      const all = events;
      events = [];
      say({ type: "text-events", events: all });
    });
  }
  events.push(event);
}

async function open(setup: WorkerSetup): Promise<Opened> {
  const { engine: chosen, device, config, weights, limits, trie, pulse, cancel } = setup;
  signPulse(pulse);
  beatOf(pulse, "createEngine")();
  const { createEngine } = (await import(chosen.module)) as { createEngine: CreateEngine };
  const made = await createEngine({ ...chosen.options, cancel }, device);
  const engine = beatingEngine(cancellable(made, cancel), pulse);
  const model = createModel(engine, config, weights);
  const { keptPrompts, kvTokens, ...shared } = limits;
  const prompts = keepingPrompts(openPromptCache(model), keptPrompts);
  // Texts wait in the queue that all workers share; here only those that had to give way.
  const maxWaiting = Number.MAX_SAFE_INTEGER;
  const scheduler = openScheduler(model, { ...shared, ...(kvTokens && { kvTokens }), maxWaiting, prompts });
  say({ type: "worker-ready", engineName: engine.name });
  return {
    scheduler,
    prompts,
    constraintOf: openConstraints(trie),
    async close() {
      await scheduler.close();
      prompts.close();
      made.close?.();
    },
  };
}

async function answer(opened: Opened, text: number, { adapter, schema, ...order }: TextOrder): Promise<void> {
  try {
    const state = adapter === undefined ? undefined : adapterOf(adapter);
    const constraint = schema === undefined ? {} : { constraint: opened.constraintOf(schema) };
    const submitted = opened.scheduler.submit({ ...order, ...constraint, adapter: state });
    texts.set(text, submitted);
    for await (const event of submitted) report({ text, ...event });
  } catch (error) {
    report({ text, error: encodeError(error) });
  } finally {
    texts.delete(text);
  }
}

function adapterOf(number: number): AdapterState {
  const state = adapters.get(number);
  if (!state) throw new RangeError(`Cannot use adapter ${number}: this worker has none of this number`);
  return state;
}

async function prepare({ prompts }: Opened, adapter: number, call: number): Promise<void> {
  try {
    const lease = await prompts.lease(adapterOf(adapter));
    lease.release();
    say({ type: "adapter-prepared", call });
  } catch (error) {
    say({ type: "adapter-prepared", call, error: encodeError(error) });
  }
}

async function hear(opened: Opened, message: ToWorker): Promise<void> {
  switch (message.type) {
    case "adapter-add":
      adapters.set(message.adapter, message.state);
      return;
    case "adapter-prepare":
      return await prepare(opened, message.adapter, message.call);
    case "adapter-drop": {
      const state = adapters.get(message.adapter);
      adapters.delete(message.adapter);
      if (state) opened.prompts.drop(state);
      return;
    }
    case "text-submit":
      return await answer(opened, message.text, message.order);
    case "text-cancel":
      texts.get(message.text)?.cancel();
      return;
    case "worker-close":
      await opened.close();
      port?.close();
  }
}

try {
  const opened = await open(workerData as WorkerSetup);
  port?.on("message", (message: ToWorker) => void hear(opened, message));
} catch (error) {
  say({ type: "worker-failed", error: encodeError(error) });
  port?.close();
}
