/** Runs one target: input after input, each laid open in shared memory first, so that the watcher can save it. */
import { parentPort, workerData } from "node:worker_threads";
import { InputError } from "@zerogate/core";
import { mutated } from "./mutate.mjs";

const { target: name, seed, rounds, seconds, shared } = workerData;
/** Rounds done, length of the input in work, and the input. */
const state = new Int32Array(shared, 0, 2);
const content = new Uint8Array(shared, 8);

// A library that warns goes on with something else than the file says.
for (const method of ["log", "info", "warn", "error"]) {
  console[method] = (...words) => {
    throw new Error(`console.${method}: ${words.join(" ")}`);
  };
}

const target = await import(`./targets/${name}.mjs`);
const corpus = await target.corpus();
const counts = { inputs: 0, accepted: 0, refused: 0, slowestMs: 0 };

/** Accepted or refused; anything else is thrown. */
async function outcome(bytes) {
  try {
    await target.check(bytes);
    return "accepted";
  } catch (error) {
    if (error instanceof InputError) return "refused";
    throw error;
  }
}

for (const [i, bytes] of corpus.entries()) {
  const found = await outcome(bytes);
  if (!target.mayRefuse && found !== "accepted")
    throw new Error(`Cannot fuzz ${name}: item ${i} of its corpus is refused`);
}
const end = performance.now() + 1000 * seconds;
for (let round = 0; round < rounds && performance.now() < end; round++) {
  const bytes = mutated(corpus, [seed, round]);
  content.set(bytes.subarray(0, content.length));
  Atomics.store(state, 1, Math.min(bytes.length, content.length));
  Atomics.store(state, 0, round + 1);
  const begin = performance.now();
  counts[await outcome(bytes)]++;
  counts.inputs++;
  counts.slowestMs = Math.max(counts.slowestMs, performance.now() - begin);
}
await target.close?.();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread has no origin
parentPort?.postMessage(counts);
