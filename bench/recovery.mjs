/**
 * How long a lost worker holds up a step: a worker that exits in the middle of a cell, in a thread and in a process. Needs a
 * build.
 *
 *   node bench/recovery.mjs [model folder] [rounds=5]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterLayout, initParameters } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { openDevices, sharedMemory } from "../packages/workers/dist/index.js";

const here = (path) => new URL(path, import.meta.url);
const [folder = fileURLToPath(here("../packages/trainer/world/base")), rounds = "5"] = process.argv.slice(2);
const [LENGTH, CELLS] = [128, 8];
const SAMPLES = 4 * CELLS;
const config = await readModelConfig(folder);
const weightDtypes = ["f32", "bf16", "f16"];
const image = await loadWeights(folder, config, { weightDtypes, allocate: sharedMemory });
const shape = { promptLength: 10, adaptedLayers: config.layers - 1, gateSharing: "scalar", gateActivation: "none" };
const layout = adapterLayout(shape, config);
const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
params.set(initParameters(layout.table, 1));
const train = {
  ids: Int32Array.from({ length: SAMPLES * LENGTH }, (_, t) => 3 + ((t * 7919) % (config.vocabSize - 3))),
  target: new Uint8Array(SAMPLES * LENGTH).map((_, t) => (t % LENGTH > LENGTH / 2 ? 1 : 0)),
  offsets: Float64Array.from({ length: SAMPLES + 1 }, (_, i) => i * LENGTH),
  hash: "",
};
const labelled = train.target.reduce((sum, one) => sum + one, 0);
const cells = Array.from({ length: CELLS }, (_, c) => [0, 1, 2, 3].map((i) => 4 * c + i));
const step = { job: "bench", step: 0, cells, scale: 1 / labelled, version: 0 };
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

for (const container of ["thread", "process"]) {
  const [quiet, lost, back] = [[], [], []];
  for (let round = 0; round < Number(rounds); round++) {
    const notes = mkdtempSync(join(tmpdir(), "zerogate-recovery-"));
    const inner = { module: here("../packages/engine-cpu/dist/index.js").href, options: { threads: 1 } };
    // Its fifth cell: one more than half of the step, so cells that were done are lost as well.
    const options = { inner, fault: { kind: "exit", device: 0, at: CELLS + 5 }, folder: notes };
    const engine = { module: here("../tests/chaos/chaos_engine.mjs").href, options };
    const weights = container === "thread" ? image : { folder, weightDtypes };
    let died = 0;
    const pool = await openDevices({
      workers: 1,
      setup: { engine, config, weights, jobs: [{ id: "bench", layout, params }], tokens: { train } },
      maxCells: CELLS,
      isolate: container === "process" ? {} : undefined,
      onEvent(event) {
        if (event.type === "worker-died") died = performance.now();
        if (event.type === "worker-started" && died > 0) back.push(performance.now() - died);
      },
    });
    const timed = async (list) => {
      const begin = performance.now();
      await pool.runStep(step);
      list.push(performance.now() - begin);
    };
    await timed(quiet);
    await timed(lost);
    await pool.close();
    rmSync(notes, { recursive: true });
  }
  const ms = (list) => `${median(list).toFixed(0)} ms (worst ${Math.max(...list).toFixed(0)})`;
  console.log(
    `${container}: ready again ${ms(back)} after its death; step ${ms(quiet)} undisturbed, ${ms(lost)} with the loss`,
  );
}
