/**
 * Engine module for tests: the reference engine, with faults where a cell holds a certain token. Real threads and processes
 * really end.
 *
 * options: { faults: { kind, token, device?, times? }[], folder, maxLoads?, loads?, shared?: Int32Array over a SharedArrayBuffer }
 *   kind      see `strike`
 *   times     how often it strikes, over all lives of all devices (default 1)
 *   folder    remembers how often, for processes too: one file a strike
 *   maxLoads  further engines exit their thread when they are made
 *   loads     for each device what its engines do when they are made, one after another: "exit", "hang" or, as after the last, "load"
 *   shared    id of a thread that hangs, passes finished, release of late throws (threads only)
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import { createReferenceEngine, EngineLostError, InputError } from "@zerogate/core";

export async function createEngine(
  { faults, folder, maxLoads = Infinity, loads = [], shared = new Int32Array(3) },
  device,
) {
  if (!takesTurn(folder, "load", maxLoads)) process.exit(4);
  const atLoad = (loads[device] ?? []).find((_, turn) => takesTurn(folder, `load-of-${device}-${turn}`, 1));
  if (atLoad === "exit") process.exit(4);
  if (atLoad === "hang") await new Promise(() => {});
  const engine = createReferenceEngine();
  let hung = false;
  let spoiled = false;
  let slow = false;

  function strike(kind) {
    switch (kind) {
      case "throw":
        throw new SyntaxError("injected");
      case "input-error":
        throw new InputError("Cannot compute", ["injected one", "injected two"]);
      case "lost-engine":
        throw new EngineLostError("the GPU is gone");
      case "nan":
        spoiled = true;
        return;
      case "exit":
        process.exit(3);
        return;
      case "late-throw":
        setInterval(() => {
          if (Atomics.load(shared, 2) === 1) throw new Error("late");
        }, 5);
        return;
      case "async-throw":
        setTimeout(() => {
          throw new Error("outside of a call");
        });
        break;
      case "hang":
        Atomics.store(shared, 0, threadId);
        break;
      case "endless-loop":
        writeFileSync(join(folder, "looping"), String(process.pid));
        for (;;);
      case "stuck-in-native-code":
        execFileSync("sleep", ["10"]);
        return;
      case "heap": {
        const leak = [];
        for (;;) leak.push(Array.from({ length: 100_000 }, Math.random));
      }
      case "slow":
        slow = true;
        return;
      case "SIGKILL":
      case "SIGSTOP":
      case "SIGSEGV":
        writeSync(2, `about to get ${kind}\n`);
        process.kill(process.pid, kind);
        execFileSync("sleep", ["1"]);
        return;
      default:
        writeSync(3, Buffer.from(kind, "hex")); // into the middle of the frames
        break;
    }
    hung = true;
  }

  return {
    ...engine,
    name: `faulty ${device}`,
    // Tokens come with a scale; positions, for their rotary angles, without.
    embed(table, ids, options) {
      if (options?.scale === undefined) return engine.embed(table, ids, options);
      for (const [i, fault] of faults.entries()) {
        if (!ids.includes(fault.token) || (fault.device ?? device) !== device) continue;
        if (takesTurn(folder, `fault-${i}`, fault.times ?? 1)) strike(fault.kind);
      }
      return engine.embed(table, ids, options);
    },
    linear(...args) {
      for (const end = performance.now() + (slow ? 60 : 0); performance.now() < end; );
      return engine.linear(...args);
    },
    async arena(work) {
      const result = await engine.arena(work);
      slow = false;
      spoiled = false;
      Atomics.add(shared, 1, 1);
      return result;
    },
    async read(array) {
      if (hung) await new Promise(() => {});
      const values = await engine.read(array);
      if (spoiled) values.fill(Number.NaN);
      return values;
    },
  };
}

/** True the first `times` times, counted over all threads and processes. */
function takesTurn(folder, name, times) {
  if (times === Infinity) return true;
  for (let i = 0; i < times; i++) {
    try {
      closeSync(openSync(join(folder, `${name}-${i}`), "wx"));
      return true;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
  }
  return false;
}
