/**
 * Fuzzes the readers of files that strangers make. What must hold for every input: it is accepted or refused with an
 * `InputError`, nothing else is thrown; it is done within a time limit; memory stays bounded; and what is accepted passes an
 * independent check (each target says which).
 *
 *   node tests/fuzz/run.mjs [--target NAME]… [--seconds 10 | --rounds N] [--seed 1]
 *
 * Prints one JSON line a target. A fault is printed with its input, which is saved in the temporary folder, and ends with 1.
 * A target is a file in targets/: `corpus()` gives the inputs to start from, `check(bytes)` reads one.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";

/** Generous, as other people's work runs beside it: a quadratic reader of a few kilobytes needs more. */
const LIMIT_MS = 20_000;
const HEAP_MB = 512;
/** Array buffers are no heap: all that the process may grow by. */
const GROWTH_BYTES = 1.5 * 2 ** 30;
const INPUT_BYTES = 2 ** 22;

const { values } = parseArgs({
  options: {
    target: { type: "string", multiple: true },
    seconds: { type: "string" },
    rounds: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});
const all = readdirSync(new URL("targets/", import.meta.url)).map((file) => file.replace(/\.mjs$/, ""));
const rounds = Number(values.rounds ?? Number.MAX_SAFE_INTEGER);
const seconds = Number(values.seconds ?? (values.rounds === undefined ? 10 : 86_400));
const seed = Number(values.seed);

for (const target of values.target ?? all) {
  const { counts, fault, input, round } = await fuzz(target);
  if (fault === undefined) {
    process.stdout.write(`${JSON.stringify({ target, seed, ...counts, slowestMs: Math.round(counts.slowestMs) })}\n`);
    continue;
  }
  const file = round < 0 ? undefined : join(tmpdir(), `zerogate-fuzz-${target}-${seed}-${round}`);
  if (file) writeFileSync(file, input);
  process.stdout.write(`${JSON.stringify({ target, seed, round, file, fault })}\n`);
  process.exitCode = 1;
}

/** Counts, or the fault and its input. */
function fuzz(target) {
  const shared = new SharedArrayBuffer(8 + INPUT_BYTES);
  const state = new Int32Array(shared, 0, 2);
  const worker = new Worker(new URL("worker.mjs", import.meta.url), {
    workerData: { target, seed, rounds, seconds, shared },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  const before = process.memoryUsage().rss;
  let round = 0;
  let since = performance.now();
  return new Promise((resolve) => {
    const done = (result) => {
      clearInterval(watch);
      const input = Uint8Array.from(new Uint8Array(shared, 8, state[1]));
      resolve({ ...result, input, round: state[0] - 1 });
      void worker.terminate();
    };
    const watch = setInterval(() => {
      const now = Atomics.load(state, 0);
      if (now !== round) {
        round = now;
        since = performance.now();
      } else if (round > 0 && performance.now() - since > LIMIT_MS) done({ fault: `no answer within ${LIMIT_MS} ms` });
      const growth = process.memoryUsage().rss - before;
      if (growth > GROWTH_BYTES) done({ fault: `memory grew by ${growth} bytes` });
    }, 50);
    worker.once("message", (counts) => done({ counts }));
    worker.once("error", (error) => done({ fault: error.stack ?? String(error) }));
    worker.once("exit", (code) => done({ fault: `the thread ended with code ${code}` }));
  });
}
