/**
 * A device in a thread of this process: a Piscina pool of one thread whose only task is `serve`, and Comlink calls over a port
 * to it. Comlink alone waits for ever when a thread throws outside a call, exits or is terminated (measured on Node 20).
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { wrap } from "comlink";
import { Piscina } from "piscina";
import { builtFile } from "./built_file.ts";
import { keepErrorClasses } from "./comlink_errors.ts";
import type { Container } from "./container.ts";
import type { DeviceApi } from "./device_api.ts";
import type { ServeTask } from "./device_worker.ts";
import { processorWait } from "./patience.ts";
import { createPulse, readPulse } from "./pulse.ts";

/** Objects of JavaScript, not arrays: a device has few, so one that has this much leaks. */
const HEAP_MB = 1024;
/**
 * A cell leaves arrays behind that only a collection of the young generation frees, and at Node's 48 MB they come to tens of
 * megabytes, which tear holes into the memory of malloc. Hardly anything survives, so small collections cost no time (measured).
 */
const YOUNG_MB = 6;
/** Ending a thread takes milliseconds, unless it is stuck in native code. */
const STUCK_MS = 1000;

export function startThread(): Container {
  keepErrorClasses();
  // Without this process's flags: under vitest they resolve our packages to TypeScript, which a Node 20 thread can't load.
  const pool = new Piscina({
    minThreads: 1,
    maxThreads: 1,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: YOUNG_MB },
  });
  // Piscina keeps a spare thread after a death; that one is thrown away with the pool, nothing depends on it.
  pool.on("error", () => {});
  const { port1, port2 } = new MessageChannel();
  const pulse = createPulse();
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const serving = once(port1, "message");
  // The file is named here and not above, so that a spare thread does not load it: Node 20 aborts the whole process when
  // a thread is terminated while it requires an ES module.
  const task: ServeTask = { port: port2, pulse, cancel };
  const ended = pool.run(task, { filename: builtFile("device_worker"), name: "serve", transferList: [port2] }).then(
    () => "its port was closed",
    (reason: unknown) => reason,
  );

  return {
    api: wrap<DeviceApi>(port1),
    pulse: () => readPulse(pulse),
    waitedMs: () => processorWait(process.pid, readPulse(pulse).thread),
    ended,
    async stop() {
      Atomics.store(cancel, 0, 1); // a thread is terminated when it is back from native code, which may take seconds
      await Promise.race([serving, ended]); // see above: not while it loads
      port1.close();
      await Promise.race([ended, sleep(STUCK_MS, undefined, { ref: false })]); // it closes its engine
      const threads = [...pool.threads];
      const isStuck = await Promise.race([pool.destroy().then(() => false), sleep(STUCK_MS, true, { ref: false })]);
      if (!isStuck) return;
      for (const thread of threads) thread.unref();
      leaveWithoutThreads();
    },
  };
}

let isLeaving = false;

/** No process ends before its threads, and nothing ends one that is stuck in native code (measured): kill ourselves at exit. */
function leaveWithoutThreads(): void {
  if (isLeaving) return;
  isLeaving = true;
  process.once("exit", () => process.kill(process.pid, "SIGKILL"));
}
