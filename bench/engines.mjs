/**
 * Every engine that runs here, side by side: tokens per second of loss and gradient of one cell, in one process, one after
 * another. Needs a build and ../shared/data; TensorFlow.js beyond its own `cpu` and `wasm` is found by ZEROGATE_TFJS; PEFT on
 * PyTorch joins if ZEROGATE_PYTHON names a Python that has it.
 *
 *   node bench/engines.mjs [--model mid] [--samples 3] [--seconds 8] [--only tfjs:wasm,cpu] [--storage nf4]
 *
 * An engine runs once to warm up and then until its seconds are over; one that needs longer than that for the first time is
 * not run again. Losses of all engines are compared first: 1e-4 apart is an error, not a result.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import {
  adapterLayout,
  cellGradient,
  createModel,
  createReferenceEngine,
  initParameters,
  layerParts,
} from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { createEngine, createWasmEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { createEngine as createTfjsEngine, tfjsBackends, tfjsTraits } from "../packages/engine-tfjs/dist/index.js";
import { adaptedLayers, cutSteps, loadSamples, makeModel, median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "mid" },
    samples: { type: "string", default: "3" },
    seconds: { type: "string", default: "8" },
    only: { type: "string" },
    storage: { type: "string", default: "as-is" },
  },
});
const threads = cpus().length;
const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
const config = await readModelConfig(folder);
const tokens = await loadSamples(Number(options.samples), folder);
const [[cell]] = cutSteps(tokens, Number(options.samples), 1e6);
const shape = {
  promptLength: 10,
  adaptedLayers: adaptedLayers[options.model],
  gateSharing: "scalar",
  gateActivation: "none",
};
const layout = adapterLayout(shape, config);
const params = initParameters(layout.table, 1);
for (const { gate } of layerParts(layout)) params[gate.offset] = 0.1; // closed gates would save the prompts' work

const candidates = [
  { name: "cpu", threads: 1, open: () => createEngine({ threads: 1 }) },
  { name: "cpu", threads, open: () => createEngine({ threads }) },
  ...(probe().bf16Levels?.includes(probe().level)
    ? [{ name: "cpu, compute bf16", threads, open: () => createEngine({ threads, compute: "bf16" }), loose: true }]
    : []),
  { name: "wasm", threads: 1, open: () => createWasmEngine() },
  ...tfjsBackends.map((backend) => ({
    name: `tfjs:${backend}`,
    threads: backend === "wasm" || backend === "cpu" ? 1 : threads,
    missing: tfjsTraits(backend).missing,
    open: () => createTfjsEngine({ backend }),
  })),
  { name: "reference", threads: 1, open: () => createReferenceEngine() },
].filter(({ name }) => options.only === undefined || options.only.split(",").includes(name));

const images = new Map();
const imageOf = async (weightDtypes) => {
  const key = weightDtypes.join();
  const { storage } = options;
  if (!images.has(key)) images.set(key, await loadWeights(folder, config, { weightDtypes, storage }));
  return images.get(key);
};

const rows = [];
let expectedLoss;
for (const { name, threads: used, missing, open, loose } of candidates) {
  if (missing) {
    console.log(`${name} is left out: ${missing}`);
    continue;
  }
  let engine;
  try {
    engine = await open();
  } catch (error) {
    console.log(`${name} is left out: ${error.message.split("\n")[0]}`);
    continue;
  }
  const model = createModel(engine, config, await imageOf(engine.weightDtypes));
  const rates = [];
  const run = async () => {
    const begin = performance.now();
    const { lossSum } = await cellGradient(model, { layout, params }, cell, 1 / cell.rows_R.length);
    rates.push(cell.ids_T.length / ((performance.now() - begin) / 1000));
    return lossSum;
  };
  const begin = performance.now();
  const loss = await run();
  expectedLoss ??= loss;
  if (Math.abs(loss - expectedLoss) / expectedLoss > (loose ? 1e-2 : 1e-4)) {
    throw new Error(`Cannot time ${name}: its loss is ${loss}, that of the others ${expectedLoss}`);
  }
  while (performance.now() - begin < 1000 * Number(options.seconds)) await run();
  rows.push({
    name,
    threads: used,
    engine: engine.name,
    tokensPerSecond: median(rates.length > 1 ? rates.slice(1) : rates),
  });
}

if (process.env.ZEROGATE_PYTHON) {
  const samples = Array.from({ length: tokens.offsets.length - 1 }, (_, i) => ({
    ids: Array.from(tokens.ids.subarray(tokens.offsets[i], tokens.offsets[i + 1])),
    target: Array.from(tokens.target.subarray(tokens.offsets[i], tokens.offsets[i + 1])),
  }));
  const settings = [{ dtype: "float32", padding: "sorted", micro: 1 }];
  const sizes = { threads, batch: samples.length, rounds: 5, fullLength: 512, K: 10, L: adaptedLayers[options.model] };
  const job = join(folder, `job-${process.pid}.json`);
  await writeFile(job, JSON.stringify({ model: folder, samples, settings, ...sizes }));
  const script = fileURLToPath(new URL("vs_peft/peft_step.py", import.meta.url));
  const { stdout } = await promisify(execFile)(process.env.ZEROGATE_PYTHON, [script, job]);
  const { tokensPerSecond, versions } = JSON.parse(stdout.trim().split("\n").at(-1));
  rows.push({ name: "PEFT on PyTorch", threads, engine: `${versions}, no padding`, tokensPerSecond });
}

console.log(
  `${options.model}: one cell of ${cell.ids_T.length} tokens, loss ${(expectedLoss / cell.rows_R.length).toFixed(4)}`,
);
for (const row of rows) {
  console.log(
    row.name.padEnd(20),
    `${row.threads} threads`.padEnd(12),
    row.tokensPerSecond.toFixed(1).padStart(10),
    ` ${row.engine}`,
  );
}
const machine = `${cpus()[0]?.model}, ${threads} CPUs, Node ${process.version}`;
console.log(machine);
console.log(JSON.stringify({ bench: "engines", machine, ...options, tokens: cell.ids_T.length, rows }));
process.exit(0); // a WebGPU device may keep the process
