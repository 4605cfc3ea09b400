/**
 * One worker thread, seen from the coordinator: a Piscina pool of one thread whose only task is `serve`, and Comlink calls
 * over a port to it.
 *
 * Comlink alone waits for ever when a thread throws outside a call, exits or is terminated (measured on Node 20), so every
 * call also ends with the task. A device dies once; whoever wants another starts another.
 */
import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import { type Remote, wrap } from "comlink";
import { Piscina } from "piscina";
import { builtFile } from "./built_file.ts";
import { keepErrorClasses } from "./comlink_errors.ts";
import type { DeviceApi } from "./device_api.ts";

/** The thread of a device ended by itself. `cause` is what Piscina or the thread said. */
export class DeviceDiedError extends Error {
  override readonly name = "DeviceDiedError";
  readonly device: number;
  readonly reason: string;
  /** The last call that it was sent, finished or not. */
  readonly lastOperation: string;

  constructor(device: number, lastOperation: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`Worker ${device} died, last at ${lastOperation}: ${reason}`, { cause });
    this.device = device;
    this.reason = reason;
    this.lastOperation = lastOperation;
  }
}

export interface Device {
  /** Makes one call. Rejects with what the worker threw, or with a DeviceDiedError as soon as its thread ends. */
  call<R>(operation: string, make: (remote: Remote<DeviceApi>) => Promise<R>): Promise<R>;
  /** Ends the thread, also in the middle of a call (which then rejects). */
  close(): Promise<void>;
}

/** Starts a thread; `onDeath` is called at most once, unless `close` came first. It keeps the process alive until closed. */
export function startDevice(index: number, onDeath: (error: DeviceDiedError) => void): Device {
  keepErrorClasses();
  // Without this process's flags: under vitest they resolve our packages to TypeScript, which a Node 20 thread can't load.
  const pool = new Piscina({ minThreads: 1, maxThreads: 1, execArgv: [] });
  // Piscina keeps a spare thread after a death; that one is thrown away with the pool, nothing depends on it.
  pool.on("error", () => {});
  const { port1, port2 } = new MessageChannel();
  const serving = once(port1, "message");
  const remote = wrap<DeviceApi>(port1);
  // A plain Promise.race against the task would keep every finished call in memory for as long as the task runs.
  const pending = new Set<(reason: Error) => void>();
  let lastOperation = "start";
  let ended: Error | undefined;

  const end = (error: Error) => {
    ended = error;
    for (const reject of pending) reject(error);
  };
  const die = (cause: unknown) => {
    if (ended) return;
    const error = new DeviceDiedError(index, lastOperation, cause);
    end(error);
    onDeath(error);
  };
  // The file is named here and not above, so that a spare thread does not load it: Node 20 aborts the whole process when
  // a thread is terminated while it requires an ES module.
  const life = pool
    .run({ port: port2 }, { filename: builtFile("device_worker"), name: "serve", transferList: [port2] })
    .then(() => die("its port was closed"), die);

  return {
    call(operation, make) {
      if (ended) return Promise.reject(ended);
      lastOperation = operation;
      return new Promise((resolve, reject) => {
        pending.add(reject);
        make(remote)
          .then(resolve, reject)
          .finally(() => pending.delete(reject));
      });
    },
    async close() {
      if (!ended) end(new Error(`Cannot finish ${lastOperation}: worker ${index} was closed`));
      await Promise.race([serving, life]); // see above: not while it loads
      port1.close();
      await pool.destroy();
    },
  };
}
