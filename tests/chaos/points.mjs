/** Faults of the coordinator and of devices: wrappers of exports, which points_hook.mjs puts in place. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export function installPoints(plan, die) {
  let left = plan.point?.at ?? 0;
  /** Strikes before or after `run` if the time has come. */
  const point = (name, run) => {
    const isNow = plan.point?.name === name && --left === 0;
    if (!isNow) return run();
    const what = `point ${name} ${plan.point.how}`;
    if (plan.point.how === "before") die(what);
    const result = run();
    if (result instanceof Promise)
      setImmediate(() => die(what)); // in the middle of it
    else die(what);
    return result;
  };
  const at =
    (name) =>
    (real) =>
    (...args) =>
      point(name, () => real(...args));

  globalThis.zerogateChaos = {
    checkTail: at("reduce"),
    adamWStep: at("commit"),
    openDevices: (real) => async (options) => {
      const threads = [];
      const collect = (worker) => threads.push(worker);
      process.on("worker", collect);
      const pool = await real({ ...options, setup: withFault(options.setup, plan) });
      process.off("worker", collect);
      let steps = 0;
      return {
        ...pool,
        evaluate: (evaluation) => point("evaluate", () => pool.evaluate(evaluation)),
        runSteps(ofJobs) {
          if (plan.device?.kind === "terminate" && ++steps === plan.device.at) {
            const thread = threads[plan.device.device % threads.length];
            if (thread) writeFileSync(join(dirname(plan.note), "device-fault"), "");
            setImmediate(() => thread?.terminate());
          }
          return pool.runSteps(ofJobs);
        },
      };
    },
  };
}

/** The same setup, its engine wrapped by one that fails or dawdles. */
function withFault(setup, { device, note = "", engine = {} }) {
  const fault = device?.kind === "terminate" ? undefined : device;
  const { options = {}, delaySeed } = engine;
  const inner = { ...setup.engine, options: { ...setup.engine.options, ...options } };
  const module = new URL("./chaos_engine.mjs", import.meta.url).href;
  return { ...setup, engine: { module, options: { inner, fault, delaySeed, folder: dirname(note) } } };
}
