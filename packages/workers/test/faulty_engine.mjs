/**
 * Engine module for tests: the reference engine, with faults where a cell holds a certain token. Real threads really end.
 *
 * options: { faults: { kind, token, device?, times? }[], maxLoads?, shared: Int32Array over a SharedArrayBuffer }
 *   kind      "throw" | "input-error" | "nan" | "hang" | "late-throw" (when released) | "async-throw" | "exit"
 *   times     how often it strikes, over all lives of all threads (default 1)
 *   maxLoads  further engines exit their thread when they are made
 *   shared    id of a thread that hangs, engines made, passes finished, release of late throws; then hits per fault
 */
import { threadId } from "node:worker_threads";
import { createReferenceEngine, InputError } from "@zerogate/core";

export function createEngine({ faults, shared, maxLoads = Infinity }, device) {
  if (Atomics.add(shared, 1, 1) >= maxLoads) process.exit(4);
  const engine = createReferenceEngine();
  let hung = false;
  let spoiled = false;

  function strike(kind) {
    switch (kind) {
      case "throw":
        throw new SyntaxError("injected");
      case "input-error":
        throw new InputError("Cannot compute", ["injected one", "injected two"]);
      case "nan":
        spoiled = true;
        return;
      case "exit":
        process.exit(3);
        return;
      case "late-throw":
        setInterval(() => {
          if (Atomics.load(shared, 3) === 1) throw new Error("late");
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
    }
    hung = true;
  }

  return {
    ...engine,
    name: `faulty ${device}`,
    embed(table, ids) {
      for (const [i, fault] of faults.entries()) {
        if (!ids.includes(fault.token) || (fault.device ?? device) !== device) continue;
        if (Atomics.add(shared, 4 + i, 1) < (fault.times ?? 1)) strike(fault.kind);
      }
      return engine.embed(table, ids);
    },
    async arena(work) {
      const result = await engine.arena(work);
      Atomics.add(shared, 2, 1);
      return result;
    },
    async read(array) {
      if (hung) await new Promise(() => {});
      const values = await engine.read(array);
      if (spoiled) values.fill(Number.NaN);
      spoiled = false;
      return values;
    },
  };
}
