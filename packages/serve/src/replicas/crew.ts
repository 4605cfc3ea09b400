/** The workers of a pool: each that ends by itself is followed by another, unless none can be started any more. */
import type { TextReport } from "../worker/messages.ts";
import type { PoolText } from "./pool_text.ts";
import { Replica, type ReplicaListener, type ReplicaOptions } from "./replica.ts";

/** A worker ended by itself, or one took its place. */
export type CrewEvent =
  | { readonly type: "worker-died"; readonly worker: number; readonly reason: Error; readonly texts: number }
  | { readonly type: "worker-ready"; readonly worker: number }
  /** No worker can be started any more: nothing will be answered. */
  | { readonly type: "pool-lost"; readonly reason: Error };

/** Whom the crew tells of texts and of itself. */
export interface CrewListener {
  onReport(text: PoolText, report: TextReport): void;
  /** A worker ended by itself while it answered these. */
  onReturn(texts: readonly PoolText[], reason: Error): void;
  /** A worker has room. */
  onRoom(): void;
  onEvent(event: CrewEvent): void;
}

/** Workers, ready or not. */
export interface Crew {
  /** Once all can answer. Rejects if one cannot be started. */
  readonly ready: Promise<unknown>;
  readonly replicas: readonly Replica[];
  /** Why none can be started any more. */
  readonly lost: Error | undefined;
  close(): Promise<void>;
}

/** Starts in a row that may fail before the crew is lost, and the pause before the first of them. */
const MAX_STARTS = 5;
const RESTART_MS = 250;

/** Starts this many workers. */
export function openCrew(workers: number, options: ReplicaOptions, listener: CrewListener): Crew {
  let isClosed = false;
  let lost: Error | undefined;
  const replicas: Replica[] = [];

  /** Starts a worker in a place, and the next one after each that ends. */
  function occupy(worker: number, ready: { resolve(): void; reject(reason: Error): void }): void {
    let failedStarts = 0;
    const own: ReplicaListener = {
      onReport: listener.onReport,
      onReady() {
        failedStarts = 0;
        ready.resolve();
        listener.onEvent({ type: "worker-ready", worker });
        listener.onRoom();
      },
      onDeath(reason, texts, wasReady) {
        ready.reject(reason);
        if (isClosed) return;
        listener.onEvent({ type: "worker-died", worker, reason, texts: texts.length });
        listener.onReturn(texts, reason);
        failedStarts += wasReady ? 0 : 1;
        if (failedStarts < MAX_STARTS) {
          setTimeout(start, failedStarts === 0 ? 0 : RESTART_MS * 2 ** failedStarts).unref();
          return;
        }
        lost = reason;
        listener.onEvent({ type: "pool-lost", reason });
      },
    };
    function start(): void {
      if (!isClosed) replicas[worker] = new Replica(worker, options, own);
    }
    start();
  }

  const places = Array.from({ length: workers }, (_, worker) => {
    return new Promise<void>((resolve, reject) => occupy(worker, { resolve, reject }));
  });
  const ready: Promise<unknown> = Promise.all(places);
  ready.catch(() => {}); // whoever waits for it hears of it
  return {
    ready,
    replicas,
    get lost() {
      return lost;
    },
    async close() {
      isClosed = true;
      await Promise.all(replicas.map((replica) => replica.close()));
    },
  };
}
