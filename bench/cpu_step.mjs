/**
 * Whole training steps of the CPU engine: real tokens per second, scaling over workers, time outside of kernels, memory.
 * Needs a build and ../shared/data.
 *
 *   node bench/cpu_step.mjs [--model 135m] [--samples 64] [--batch 32] [--cell 2048] [--rounds 3] [--compute f32] [--packing] [--share] [--skip] [--layout 1x1,2x1,1x2] [--multiple 0] [--even 0]
 *
 * A layout is workers × threads of each. Workers share one copy of the weights; gradients are added in fixed point, so all
 * layouts of the same cells must end in the same sum: that is checked first. --multiple N cuts cells as a plan with that
 * `cellMultiple` does (0: by first fit), --share computes equal beginnings once and --skip the last layer for labelled tokens alone,
 * as `sharedBeginnings` and `skipUnlabelled` do. With --even N a step is the same cell N times:
 * how the engine scales when nobody waits for the last cell. Rounds are interleaved; medians, and the scaling of each round.
 */
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { adapterLayout, cellGradient, createModel, initParameters, layerParts } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import {
  adamWStep,
  backwardLayers,
  createAdamWState,
  readFixedPoint,
  trainingCost,
  updateRanges,
} from "../packages/core/dist/training.js";
import { addFixedPoint, createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { adaptedLayers, cutSteps, loadSamples, makeModel, median } from "./cpu_model.mjs";

if (isMainThread) await main();
else await work();

async function main() {
  const { values: options } = parseArgs({
    options: {
      model: { type: "string", default: "135m" },
      samples: { type: "string", default: "64" },
      batch: { type: "string", default: "32" },
      cell: { type: "string", default: "2048" },
      rounds: { type: "string", default: "3" },
      compute: { type: "string", default: "f32" },
      packing: { type: "boolean", default: false },
      share: { type: "boolean", default: false },
      skip: { type: "boolean", default: false },
      layout: { type: "string", default: "1x1,2x1,1x2" },
      multiple: { type: "string", default: "0" },
      even: { type: "string", default: "0" },
    },
  });
  const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
  const config = await readModelConfig(folder);
  const loadBegin = performance.now();
  const image = await loadWeights(folder, config, {
    weightDtypes: ["f32", "bf16", "f16"],
    mapFiles: probe().mapsFiles,
    allocate: (bytes) => new SharedArrayBuffer(bytes),
  });
  const loadSeconds = (performance.now() - loadBegin) / 1000;
  const tokens = await loadSamples(Number(options.samples), folder);
  const shape = {
    promptLength: 10,
    adaptedLayers: adaptedLayers[options.model],
    gateSharing: "scalar",
    gateActivation: "none",
  };
  const layout = adapterLayout(shape, config);
  const multiple = Number(options.multiple);
  const evenCut = multiple > 0 ? { multiple, cost: trainingCost(config, backwardLayers(layout)) } : undefined;
  const cut = cutSteps(tokens, Number(options.batch), Number(options.cell), evenCut);
  const even = Number(options.even);
  const steps = even > 0 ? [Array.from({ length: even }, () => cut[0][0])] : cut;
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  const fresh = initParameters(layout.table, 1);
  for (const { gate } of layerParts(layout)) fresh[gate.offset] = 0.1; // closed gates would save the prompts' work
  const layouts = options.layout.split(",").map((text) => text.split("x").map(Number));

  const way = { sharesBeginnings: options.share, skipsUnlabelled: options.skip };
  const groups = [];
  for (const [workers, threads] of layouts) {
    const data = { image, config, layout, params, threads, compute: options.compute, packing: options.packing, way };
    const all = Array.from({ length: workers }, () => new Worker(fileURLToPath(import.meta.url), { workerData: data }));
    groups.push({ workers, threads, all, rates: [], outside: [], peaks: [] });
    await Promise.all(all.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
  }

  /** One step over a group: cells go to whichever worker is free. */
  async function runStep(group, cells) {
    const scale = 1 / cells.reduce((sum, cell) => sum + cell.rows_R.length, 0);
    const sum = new Int32Array(new SharedArrayBuffer(8 * layout.length));
    const todo = cells.toSorted((a, b) => b.ids_T.length - a.ids_T.length);
    let [lossSum, insideMs, peakBytes] = [0, 0, 0];
    const serve = async (worker) => {
      for (let cell = todo.shift(); cell; cell = todo.shift()) {
        worker.postMessage({ cell, scale }, []);
        const reply = await new Promise((resolve) => worker.once("message", resolve));
        addFixedPoint(sum, reply.gradient);
        lossSum += reply.lossSum;
        insideMs += reply.kernelMs;
        group.opMs = reply.opMs; // one worker's, since it began
        peakBytes = Math.max(peakBytes, reply.peakBytes);
      }
    };
    await Promise.all(group.all.map(serve));
    return { sum, lossSum: lossSum * scale, insideMs, peakBytes };
  }

  const results = new Map();
  for (let round = -1; round < Number(options.rounds); round++) {
    for (const group of groups) {
      params.set(fresh);
      const state = createAdamWState(layout.length);
      const ranges = updateRanges(layout.table, "all", 0.02);
      const begin = performance.now();
      let [realTokens, inside, loss] = [0, 0, 0];
      for (const cells of steps) {
        const result = await runStep(group, cells);
        const gradient = new Float32Array(layout.length);
        readFixedPoint(result.sum, gradient);
        adamWStep(params, gradient, state, 1e-3, { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges });
        realTokens += cells.reduce((sum, cell) => sum + cell.ids_T.length, 0);
        inside += result.insideMs;
        loss = result.lossSum;
        group.peakBytes = result.peakBytes;
      }
      const ms = performance.now() - begin;
      const key = Buffer.from(params.slice().buffer).toString("latin1");
      if (round < 0) {
        if (results.size > 0 && !results.has(key)) throw new Error("Cannot time: layouts end in different parameters");
        results.set(key, loss);
        continue; // warm-up and check
      }
      group.rates.push(realTokens / (ms / 1000));
      group.outside.push(1 - inside / (ms * group.workers));
    }
  }

  const rows = groups.map(({ workers, threads, rates, outside, peakBytes }) => ({
    workers,
    threads,
    tokensPerSecond: Number(median(rates).toFixed(1)),
    outsideKernels: Number(median(outside).toFixed(4)),
    activationMB: Math.round(peakBytes / 2 ** 20),
  }));
  const realTokens = steps.flat().reduce((sum, cell) => sum + cell.ids_T.length, 0);
  console.log(
    `${options.model}, ${options.compute}${["packing", "share", "skip"].flatMap((flag) => (options[flag] ? `, ${flag}` : [])).join("")}, ${options.samples} samples, ${realTokens} real tokens, ${steps.flat().length} cells of at most ${options.cell}; loss ${[...results.values()][0].toFixed(4)}, equal bits in all layouts`,
  );
  console.log("workers × threads   real tokens/s   outside kernels   activations a worker");
  for (const row of rows) {
    console.log(
      `${row.workers} × ${row.threads}`.padStart(17),
      row.tokensPerSecond.toFixed(1).padStart(15),
      `${(100 * row.outsideKernels).toFixed(1)} %`.padStart(17),
      `${row.activationMB} MiB`.padStart(22),
    );
  }
  const [single, pair] = [
    [1, 1],
    [2, 1],
  ].map(([workers, threads]) => groups.find((group) => group.workers === workers && group.threads === threads));
  if (single && pair) {
    const ratios = pair.rates.map((rate, round) => rate / single.rates[round]);
    console.log(
      `2 × 1 over 1 × 1: ${median(ratios).toFixed(3)} (rounds ${ratios.map((r) => r.toFixed(2)).join(", ")})`,
    );
  }
  const ops = Object.entries(groups[0].opMs).toSorted(([, a], [, b]) => b - a);
  const allMs = ops.reduce((sum, [, ms]) => sum + ms, 0);
  console.log(`operations: ${ops.map(([name, ms]) => `${name} ${((100 * ms) / allMs).toFixed(1)} %`).join(", ")}`);
  const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}, Node ${process.version}`;
  console.log(
    `${machine}; weights read in ${loadSeconds.toFixed(2)} s, peak resident ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
  );
  console.log(JSON.stringify({ bench: "cpu_step", machine, ...options, realTokens, rows, loadSeconds }));
  for (const group of groups) for (const worker of group.all) await worker.terminate();
}

async function work() {
  const { image, config, layout, params, threads, compute, packing, way } = workerData;
  const engine = createEngine({ threads, compute, packing });
  let kernelMs = 0;
  const opMs = {};
  // Operations are the engine's functions; what they take is inside, everything else is outside.
  const timed = Object.fromEntries(
    Object.entries(engine).map(([name, value]) => {
      if (typeof value !== "function" || ["arena", "read", "keep", "memory"].includes(name)) return [name, value];
      return [
        name,
        (...args) => {
          const begin = performance.now();
          const result = value(...args);
          const ms = performance.now() - begin;
          kernelMs += ms;
          opMs[name] = (opMs[name] ?? 0) + ms;
          return result;
        },
      ];
    }),
  );
  const model = createModel(timed, config, image);
  const answer = async ({ cell, scale }) => {
    kernelMs = 0;
    const { lossSum, gradient } = await cellGradient(model, { layout, params }, cell, scale, way);
    parentPort.postMessage({ lossSum, gradient, kernelMs, opMs, peakBytes: engine.memory().peakBytes }, [
      gradient.buffer,
    ]);
  };
  parentPort.on("message", (request) => void answer(request));
  parentPort.postMessage("ready", []);
}
