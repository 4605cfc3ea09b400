/** The parent's side of test_server.mjs: a test that hangs is killed with all that it started, and a new server takes over. */
import { fork } from "node:child_process";
import { join } from "node:path";

/** A test file may take this many times what it took without a mutant, and this long besides: the machine may be busy. */
const SLOWER = 4;
const GRACE_MS = 45_000;
/** For a test file without a mutant: a limit for hangs. */
const MEASURE_LIMIT_MS = 900_000;

/** @param folder absolute path of the copy; its tests find `HOME` and temporary files in `scratch` */
export function openTestRunner(folder, scratch) {
  const env = { ...process.env, HOME: scratch, XDG_CACHE_HOME: join(scratch, "cache"), TMPDIR: scratch };
  const times = new Map();
  /** Files of which the server may know an old state. */
  const stale = new Set();
  let server;

  const start = async () => {
    server = fork(join(folder, "scripts/mutants/test_server.mjs"), { cwd: folder, env, detached: true, silent: true });
    server.stderr.resume();
    server.stdout.resume();
    await answer(Number.POSITIVE_INFINITY);
  };
  const answer = (limitMs) =>
    new Promise((resolve, reject) => {
      const timer =
        limitMs < Number.POSITIVE_INFINITY ? setTimeout(() => done(resolve, undefined), limitMs) : undefined;
      const onMessage = (message) => done(resolve, message);
      const onExit = () => done(reject, new Error("Cannot run tests: the test server ended"));
      const done = (settle, value) => {
        clearTimeout(timer);
        server.off("message", onMessage);
        server.off("exit", onExit);
        settle(value);
      };
      server.once("message", onMessage);
      server.once("exit", onExit);
    });
  const stop = () => {
    if (!server) return;
    try {
      process.kill(-server.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
    server = undefined;
  };
  const runOne = async (test, limitMs) => {
    if (!server?.connected) {
      stop(); // a test may have ended it after its answer
      await start();
    }
    server.send({ test, changed: [...stale].map((path) => join(folder, path)) });
    const result = await answer(limitMs).catch((error) => {
      return { passed: 0, failures: [error.message] };
    });
    if (!result || !server.connected) stop();
    return result;
  };

  /** Time of a test file without a mutant; undefined if none of its tests runs here, or if one fails all the same. */
  const measure = async (test) => {
    const begin = performance.now();
    const { passed, failures } = (await runOne(test, MEASURE_LIMIT_MS)) ?? { passed: 0, failures: ["it hangs"] };
    if (failures.length > 0) {
      console.error(`${test} is left out, it fails without a mutant: ${failures.join("; ")}`);
      return undefined;
    }
    if (passed === 0) console.error(`${test} is left out, none of its tests runs here`);
    return passed > 0 ? performance.now() - begin : undefined;
  };

  return {
    /**
     * Runs test files one after another until one fails.
     *
     * @param mutant `plant()` and `remove()` change its `file`
     * @returns `{ outcome: "killed" | "timeout" | "survived", by }`
     */
    async run(tests, mutant) {
      stale.add(mutant.file);
      try {
        for (const test of tests) {
          if (!times.has(test)) {
            mutant.remove();
            times.set(test, await measure(test));
          }
          const time = times.get(test);
          if (time === undefined) continue;
          mutant.plant();
          const result = await runOne(test, SLOWER * time + GRACE_MS);
          if (!result) return { outcome: "timeout", by: test };
          const [failure] = result.failures;
          if (failure !== undefined) return { outcome: "killed", by: `${test}: ${failure.split("\n")[0]}` };
        }
        return { outcome: "survived", by: "" };
      } finally {
        mutant.remove();
        stale.forEach((file) => file !== mutant.file && stale.delete(file));
      }
    },
    stop,
  };
}
