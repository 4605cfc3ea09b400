/**
 * Loaded into `zerogate train --json` before it starts: counts the steps that it prints and, after those that are named in
 * ZEROGATE_PROBE_STEPS, writes down what is alive in each thread. Ends the run by SIGINT when it knows all of it.
 */
import { writeFileSync } from "node:fs";
import { getHeapSnapshot } from "node:v8";
import { isMainThread } from "node:worker_threads";

const wanted = (process.env.ZEROGATE_PROBE_STEPS ?? "").split(",").map(Number);
const threads = new Set();
const snapshots = [];
let steps = 0;
let work = Promise.resolve();

/** Bytes of what can be reached, by kind. Taking a snapshot collects garbage first. */
async function reachable(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const { snapshot, nodes } = JSON.parse(chunks.join(""));
  const fields = snapshot.meta.node_fields;
  const kinds = snapshot.meta.node_types[0];
  const bytes = {};
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = kinds[nodes[at + fields.indexOf("type")]];
    bytes[kind] = (bytes[kind] ?? 0) + nodes[at + fields.indexOf("self_size")];
  }
  return bytes;
}

async function look(step) {
  const heaps = [await reachable(getHeapSnapshot())];
  for (const thread of threads) heaps.push(await reachable(await thread.getHeapSnapshot()));
  snapshots.push({ step, heaps });
  if (snapshots.length < wanted.length) return;
  const young = [...threads].map(({ resourceLimits }) => resourceLimits.maxYoungGenerationSizeMb);
  writeFileSync(process.env.ZEROGATE_PROBE_OUT, JSON.stringify({ snapshots, young }));
  process.kill(process.pid, "SIGINT");
}

if (isMainThread) {
  process.on("worker", (thread) => {
    threads.add(thread);
    thread.once("exit", () => threads.delete(thread)); // one that only read the data
  });
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text, ...rest) => {
    if (String(text).startsWith('{"event":"step"')) {
      steps++;
      const step = steps;
      if (wanted.includes(step)) work = work.then(() => look(step));
    }
    return write(text, ...rest);
  };
}
