/**
 * From nothing to the first cell: how long a new process takes until a worker starts its first cell, and how much memory it
 * needs at most. Each run is a process of its own, as its first use of memory is what counts. Needs a build and
 * ../shared/data; run it twice if the file cache may be cold.
 *
 *   node bench/cpu_load.mjs [--model 1.1b] [--workers 1,2] [--engine cpu,wasm] [--storage int8] [--packing auto] [--rounds 3] [--steps 1] [--read]
 *
 * `--read` copies the weights into memory instead of mapping their files. Peak is that of the whole process (VmHWM); its
 * budget is the weights, 1.25 times the plan (`estimateMemory`), and what an idle process with the same modules has.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "1.1b" },
    workers: { type: "string", default: "1,2" },
    engine: { type: "string", default: "cpu" },
    storage: { type: "string", default: "as-is" },
    compute: { type: "string", default: "f32" },
    packing: { type: "string", default: "auto" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "1" },
    cell: { type: "string", default: "1024" },
    read: { type: "boolean", default: false },
    child: { type: "boolean", default: false },
  },
});
const statusKiB = (name) =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

if (options.child) await start();
else await main();

async function main() {
  const { makeModel, loadSamples, median } = await import("./cpu_model.mjs");
  const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
  await loadSamples(64, folder);
  const run = async (engine, workers) => {
    const flags = ["--child", ...(options.read ? ["--read"] : [])];
    for (const name of ["model", "steps", "cell", "storage", "compute", "packing"])
      flags.push(`--${name}`, options[name]);
    flags.push("--engine", engine, "--workers", workers);
    const begin = performance.timeOrigin + performance.now();
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), ...flags]);
    const result = JSON.parse(stdout);
    return { ...result, firstCell: (result.firstCellAt - begin) / 1000 };
  };
  const rows = [];
  console.log("engine workers   loaded   first cell (worst)   peak     idle   weights   plan   peak - idle - weights");
  for (const engine of options.engine.split(",")) {
    for (const workers of options.workers.split(",")) {
      const results = [];
      for (let round = 0; round < Number(options.rounds); round++) results.push(await run(engine, workers));
      const of = (name) => median(results.map((result) => result[name]));
      const worst = Math.max(...results.map(({ firstCell }) => firstCell));
      const MiB = (bytes) => Math.round(bytes / 2 ** 20);
      const plan = MiB(of("plan"));
      const above = MiB(of("peak") - of("idle") - of("weights"));
      const row = {
        engine,
        workers,
        loaded: of("loaded"),
        firstCell: of("firstCell"),
        worst,
        peakMiB: MiB(of("peak")),
      };
      rows.push({ ...row, planMiB: plan, aboveWeightsMiB: above });
      console.log(
        `${engine.padEnd(6)} ${workers.padStart(7)} ${row.loaded.toFixed(2).padStart(6)} s ${row.firstCell.toFixed(2).padStart(8)} s (${worst.toFixed(2)} s) ${String(row.peakMiB).padStart(8)} ${String(MiB(of("idle"))).padStart(8)} ${String(MiB(of("weights"))).padStart(9)} ${String(plan).padStart(6)}   ${above} MiB = ${(above / plan).toFixed(2)} x plan`,
      );
    }
  }
  const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, Node ${process.version}`;
  console.log(JSON.stringify({ bench: "cpu_load", machine, ...options, rows }));
}

/** One cold start, as `zerogate train` makes it once its tokens are cached. */
async function start() {
  const { adapterLayout, initParameters } = await import("../packages/core/dist/index.js");
  const { imageBytes } = await import("../packages/core/dist/formats.js");
  const { loadWeights, readModelConfig } = await import("../packages/core/dist/node.js");
  const { openDevices, sharedMemory } = await import("../packages/workers/dist/index.js");
  const { cutCells, measureSamples } = await import("../packages/data/dist/index.js");
  const { chooseEngine, loadOptions } = await import("../packages/run-config/dist/index.js");
  const { estimateMemory } = await import("../packages/trainer/dist/command.js");
  const { adaptedLayers, loadSamples } = await import("./cpu_model.mjs");
  const folder = join(tmpdir(), `zerogate-bench-${options.model}`);
  const tokens = await loadSamples(64, folder);
  const workers = Number(options.workers);
  const config = await readModelConfig(folder);
  const { engine: name, compute, storage, packing } = options;
  const engine = await chooseEngine({ engine: name, compute, storage, packing }, config, 1);
  const { module, options: engineOptions } = engine;
  const { weightDtypes, mapFiles } = loadOptions(engine);
  const idle = 1024 * statusKiB("VmRSS");

  const loadBegin = performance.now();
  const weights = await loadWeights(folder, config, {
    allocate: sharedMemory,
    weightDtypes,
    mapFiles: mapFiles && !options.read,
    storage,
  });
  const loaded = (performance.now() - loadBegin) / 1000;
  const shape = { promptLength: 10, adaptedLayers: adaptedLayers[options.model], gateSharing: "scalar" };
  const layout = adapterLayout({ ...shape, gateActivation: "none" }, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(initParameters(layout.table, 1));
  const { lengths } = measureSamples(tokens);
  // A sample longer than a cell would make a larger one.
  const samples = Array.from(lengths, (_, i) => i).filter((i) => lengths[i] <= Number(options.cell));
  const cells = cutCells(samples, lengths, Number(options.cell)).slice(0, Math.max(2, workers));
  const pool = await openDevices({
    workers,
    setup: {
      engine: { module, options: engineOptions },
      config,
      weights,
      jobs: [{ id: "bench", layout, params }],
      tokens: { train: tokens },
    },
    maxCells: cells.length,
  });
  const firstCellAt = performance.timeOrigin + performance.now();
  for (let step = 0; step < Number(options.steps); step++) {
    await pool.runStep({ job: "bench", step, cells, scale: 1e-3, version: 0 });
  }
  const peak = 1024 * statusKiB("VmHWM");
  await pool.close();
  const cellTokens = Math.max(...cells.map((cell) => cell.reduce((sum, sample) => sum + lengths[sample], 0)));
  const size = { cellTokens, workers, weights: imageBytes(weights), engine, isIsolated: false };
  const plan = estimateMemory(config, layout, size).total - size.weights;
  process.stdout.write(JSON.stringify({ loaded, firstCellAt, idle, peak, weights: size.weights, plan }));
}
