/** Several threads at once, each with an engine of its own over the same weights. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { absent } from "../test/levels.ts";
import { createEngine } from "./engine.ts";

const entry = new URL("../dist/index.js", import.meta.url);
const reason = absent || (existsSync(entry) ? "" : " (skipped: needs a build, workers cannot load TypeScript)");

// ZEROGATE_CALLS=1000000 is the long form of this test.
const calls = Number(process.env["ZEROGATE_CALLS"] ?? 4000) / 4;

async function startData() {
  const [rows, columns] = [33, 70];
  const halves = new Uint16Array(new SharedArrayBuffer(2 * rows * columns));
  for (let i = 0; i < halves.length; i++) halves[i] = 0x3f00 + ((i * 37) % 256);
  const bytes = new Uint8Array(halves.buffer);
  const engine = createEngine();
  const weight = engine.matrix({ dtype: "bf16", shape: [rows, columns], bytes });
  const expected = await engine.arena(() =>
    Promise.all(
      [1, 4, 9, 40].map(async (T) => {
        const x = Float32Array.from({ length: T * columns }, (_, i) => Math.sin(i));
        return { T, x, y: await engine.read(engine.linear(engine.upload(x), weight, { T })) };
      }),
    ),
  );
  return { entry: entry.href, bytes, rows, columns, expected };
}

function start(data: object): { worker: Worker; ready: Promise<unknown>; done: Promise<unknown> } {
  const worker = new Worker(fileURLToPath(new URL("../test/shared_weights_worker.mjs", import.meta.url)), {
    workerData: data,
    execArgv: [], // vitest's would make the built packages look for sources
  });
  const until = (text: string) =>
    new Promise((resolve, reject) => {
      worker.on("message", (message) => message === text && resolve(undefined));
      worker.on("error", reject);
      worker.on("exit", resolve);
    });
  return { worker, ready: until("ready"), done: until("done") };
}

describe.skipIf(reason !== "")(`workers${reason}`, () => {
  test("four workers over shared weights, two of them with threads of their own, all get the right bits", {
    timeout: 3_600_000,
  }, async () => {
    const data = await startData();
    const workers = [1, 2, 1, 2].map((threads, i) => start({ ...data, calls, threads, seed: i }));
    await Promise.all(workers.map(({ done }) => done));
    const codes = await Promise.all(workers.map(({ worker }) => worker.terminate()));
    expect(codes.length).toBe(4);
  });

  test("a worker can be terminated in the middle of its work, again and again", async () => {
    const data = await startData();
    for (let round = 0; round < 5; round++) {
      const { worker, ready } = start({ ...data, calls: 1e9, threads: 2, seed: round });
      await ready;
      await new Promise((resolve) => setTimeout(resolve, 20 * round));
      expect(await worker.terminate()).toBe(1);
    }
  });
});
