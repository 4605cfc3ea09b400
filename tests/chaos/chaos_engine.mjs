/**
 * Engine module: another engine that fails once, on one device, at its `at`-th pass, or at every pass over more tokens than
 * `longerThan` or fewer than `shorterThan`, or that dawdles at random.
 *
 * options: { inner: EngineModule, fault?: { kind, device, at } or { kind, longerThan?, shorterThan? }, folder, delaySeed? }
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { randomBits } from "@zerogate/core/training";

export async function createEngine({ inner, fault, folder, delaySeed }, device) {
  const { createEngine: create } = await import(inner.module);
  const engine = await create(inner.options, device);
  let passes = 0;
  let isHung = false;
  let reads = 0;

  const isOnce = () => device === fault?.device && ++passes === fault.at && isFirst(join(folder, "device-fault"));
  const isAlways = fault?.longerThan !== undefined || fault?.shorterThan !== undefined;
  const isOfLength = (tokens) => tokens > (fault.longerThan ?? Infinity) || tokens < (fault.shorterThan ?? 0);
  const strike = () => {
    switch (fault.kind) {
      case "throw":
        throw new Error("chaos");
      case "async-throw":
        setTimeout(() => {
          throw new Error("chaos, outside of a call");
        });
        isHung = true;
        return;
      case "exit":
        process.exit(3);
        return;
      case "promise":
        isHung = true;
        return;
      case "endless-loop":
        for (;;);
      case "out-of-memory": {
        const leak = [];
        for (;;) leak.push(Array.from({ length: 1_000_000 }, () => passes));
      }
      default: // a signal, of a device in a process of its own
        process.kill(process.pid, fault.kind);
    }
  };

  return {
    ...engine,
    // Once a pass with a scale, that of its tokens; a table of rotary angles has none.
    embed(...args) {
      if (args[2]?.scale === undefined) return engine.embed(...args);
      if (isAlways ? isOfLength(args[1].length) : isOnce()) strike();
      return engine.embed(...args);
    },
    async read(array) {
      if (isHung) await new Promise(() => {});
      if (delaySeed !== undefined) await sleep(randomBits(delaySeed, device, reads++) % 8);
      return engine.read(array);
    },
  };
}

/** True for one caller only, over all threads and processes. */
function isFirst(path) {
  try {
    closeSync(openSync(path, "wx"));
    return true;
  } catch {
    return false;
  }
}
