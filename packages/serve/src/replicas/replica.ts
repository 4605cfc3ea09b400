/** One worker and the texts that it answers. When it ends by itself, they are given back. */
import { decodeError } from "@zerogate/core/training";
import type { FromWorker, TextReport } from "../worker/messages.ts";
import type { WorkerListener, WorkerThread } from "../worker/start_worker.ts";
import { type Beginnings, keyOf, openBeginnings } from "./beginnings.ts";
import { openCalls } from "./calls.ts";
import { orderOf, type PoolAdapter, type PoolText, workLeft } from "./pool_text.ts";
import { type BusyWatch, openBusyWatch } from "./watched.ts";

/** What a replica tells the pool. */
export interface ReplicaListener {
  onReady(): void;
  onReport(text: PoolText, report: TextReport): void;
  /** It has ended by itself; what it answered is given back, the oldest first. */
  onDeath(reason: Error, texts: readonly PoolText[], wasReady: boolean): void;
}

/** How replicas are started and watched. */
export interface ReplicaOptions {
  readonly start: (worker: number, listener: WorkerListener) => WorkerThread;
  /** Milliseconds without a sign of life, while it has something to do, after which it counts as hung. 0: never. */
  readonly patienceMs: number;
  /** Prompts of texts that have ended whose keys and values are kept. */
  readonly keptTexts: number;
}

/** A worker of the pool. */
export class Replica {
  readonly #listener: ReplicaListener;
  readonly #thread: WorkerThread;
  readonly #watched: BusyWatch;
  readonly #running = new Map<number, PoolText>();
  /** Numbers of adapters that it has. */
  readonly #known = new Set<number>();
  readonly #calls = openCalls();
  readonly #beginnings: Beginnings;
  #attempts = 0;
  #engineName: string | undefined;
  #isOver = false;

  /** Starts the worker of this number. */
  constructor(worker: number, { start, patienceMs, keptTexts }: ReplicaOptions, listener: ReplicaListener) {
    this.#listener = listener;
    this.#beginnings = openBeginnings(2 * keptTexts);
    this.#thread = start(worker, { onMessage: (message) => this.#hear(message), onEnd: (reason) => this.#die(reason) });
    this.#watched = openBusyWatch(this.#thread, patienceMs, (reason) => this.#die(reason));
  }

  /** Whether it can be given texts. */
  get isReady(): boolean {
    return this.#engineName !== undefined && !this.#isOver;
  }
  /** Texts that it answers. */
  get size(): number {
    return this.#running.size;
  }
  /** What it has to do, in tokens of answers. */
  get work(): number {
    return Array.from(this.#running.values(), workLeft).reduce((sum, left) => sum + left, 0);
  }
  /** Name of its engine, once it is ready. */
  get engineName(): string | undefined {
    return this.#engineName;
  }

  /** Returns how many tokens of a prompt it is likely to hold keys and values of. */
  common(text: PoolText): number {
    return this.#beginnings.common(keyOfText(text), text.request.promptIds);
  }

  begin(text: PoolText): void {
    const attempt = this.#attempts++;
    const { adapter, image, promptIds } = text.request;
    this.#running.set(attempt, text);
    if (adapter) this.#introduce(adapter);
    if (!image) this.#beginnings.add(keyOfText(text), promptIds);
    this.#thread.send({ type: "text-submit", text: attempt, order: orderOf(text) });
    this.#settle();
  }

  /** Takes a text away from it, if it has it. */
  withdraw(text: PoolText): void {
    for (const [attempt, own] of this.#running) {
      if (own !== text) continue;
      this.#running.delete(attempt);
      this.#thread.send({ type: "text-cancel", text: attempt });
    }
    this.#settle();
  }

  /** Makes the prompts of an adapter. */
  async prepare(adapter: PoolAdapter): Promise<void> {
    if (this.#isOver) return;
    this.#introduce(adapter);
    const { number } = adapter;
    const made = this.#calls.make((call) => this.#thread.send({ type: "adapter-prepare", adapter: number, call }));
    this.#settle();
    await made;
  }

  /** Forgets an adapter. */
  drop({ number }: PoolAdapter): void {
    if (this.#known.delete(number)) this.#thread.send({ type: "adapter-drop", adapter: number });
  }

  async close(): Promise<void> {
    this.#end(new Error("Cannot prepare an adapter: the server is closing"));
    await this.#thread.stop();
  }

  #hear(message: FromWorker): void {
    if (message.type === "worker-ready") this.#engineName = message.engineName;
    else if (message.type === "adapter-prepared")
      this.#calls.settle(message.call, message.error && decodeError(message.error));
    else if (message.type === "text-events") for (const report of message.events) this.#take(report);
    this.#settle();
    if (message.type === "worker-ready") this.#listener.onReady();
  }

  #take(report: TextReport): void {
    const text = this.#running.get(report.text);
    if (!text) return; // it was withdrawn meanwhile
    if ("finishReason" in report || "error" in report) this.#running.delete(report.text);
    this.#listener.onReport(text, report);
  }

  #die(reason: Error): void {
    if (this.#isOver) return;
    const texts = [...this.#running.values()];
    this.#end(reason);
    this.#listener.onDeath(reason, texts, this.#engineName !== undefined);
    void this.#thread.stop();
  }

  #end(reason: Error): void {
    this.#isOver = true;
    this.#running.clear();
    this.#calls.fail(reason);
    this.#settle();
  }

  /** Watches it while it has something to do. */
  #settle(): void {
    const isBusy = this.#running.size + this.#calls.size > 0;
    this.#watched.settle(!this.#isOver && this.#engineName !== undefined && isBusy);
  }

  #introduce({ number, state }: PoolAdapter): void {
    if (this.#known.has(number)) return;
    this.#known.add(number);
    this.#thread.send({ type: "adapter-add", adapter: number, state });
  }
}

const keyOfText = ({ request: { adapter, scale = 1 } }: PoolText): string => keyOf(adapter?.sha256, scale);
