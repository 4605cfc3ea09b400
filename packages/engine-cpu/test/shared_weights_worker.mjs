/** A worker that multiplies by weights it shares with others and checks the bits of every result. */
import { parentPort, workerData } from "node:worker_threads";

const { entry, bytes, rows, columns, calls, seed, expected, threads } = workerData;
const { createEngine } = await import(entry);
const engine = createEngine({ threads });
const weight = engine.matrix({ dtype: "bf16", shape: [rows, columns], bytes });
const sizes = expected.map(({ T }) => T);
parentPort.postMessage("ready", []);
let state = seed;
for (let from = 0; from < calls; from += 1000) {
  await engine.arena(async () => {
    for (let call = from; call < Math.min(from + 1000, calls); call++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const at = (state >>> 16) % sizes.length;
      const { T, x, y } = expected[at];
      const X = engine.upload(x);
      const out = engine.linear(X, weight, { T });
      const found = await engine.read(out);
      for (let n = 0; n < y.length; n++) if (found[n] !== y[n]) throw new Error(`call ${call}: other bits at ${n}`);
      engine.free(X, out);
    }
  });
}
parentPort.postMessage("done", []);
