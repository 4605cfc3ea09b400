/**
 * Several adapters on one base on the CPU engine. Needs a build.
 *
 *   node bench/adapters.mjs [--texts 8] [--adapters 4] [--prompt 64] [--new 32] [--rounds 5] [--threads 2]
 *
 * 1. Throughput of one batch whose texts use several adapters, against the same batch with one adapter (135M shape).
 * 2. Switching at LLaMA-7B sizes (hidden 4096, 30 adapted layers, 10 prompts): from `setAdapter` to prompts that the next
 *    pass can use, both adapters used before; and the first use of one, which makes its keys and values. The layers of that
 *    base share the bytes of one, which takes nothing away from the work.
 */
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { weightNames } from "../packages/core/dist/formats.js";
import {
  AdaptionPromptModel,
  adapterLayout,
  createModel,
  initParameters,
  layerParts,
  openPromptCache,
  parseAdaptionPromptConfig,
} from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { makeModel, median } from "./cpu_model.mjs";

const { values } = parseArgs({
  options: {
    texts: { type: "string", default: "8" },
    adapters: { type: "string", default: "4" },
    prompt: { type: "string", default: "64" },
    new: { type: "string", default: "32" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
  },
});
const options = Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Number(text)]));
const adapterConfig = (adapter_layers) =>
  parseAdaptionPromptConfig({ peft_type: "ADAPTION_PROMPT", adapter_len: 10, adapter_layers }, "bench").config;

/** Adapters a0, a1, … with open gates. */
function addAdapters(model, count, layers) {
  const shape = { promptLength: 10, adaptedLayers: layers, gateSharing: "scalar", gateActivation: "none" };
  const layout = adapterLayout(shape, model.base.config);
  for (let a = 0; a < count; a++) {
    const params = initParameters(layout.table, a);
    for (const { gate } of layerParts(layout)) params[gate.offset] = 0.5;
    model.addAdapter(`a${a}`, { config: adapterConfig(layers), shape, params });
  }
  return layout;
}

async function throughput() {
  const folder = await makeModel("135m", join(tmpdir(), "zerogate-bench-135m"));
  const config = await readModelConfig(folder);
  const engine = createEngine({ threads: options.threads });
  const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
  const model = new AdaptionPromptModel(createModel(engine, config, image));
  addAdapters(model, options.adapters, 28);
  const run = async (adapters) => {
    const texts = Array.from({ length: options.texts }, (_, t) => ({
      promptIds: Array.from({ length: options.prompt }, (__, i) => 3 + ((7919 * (t + 1) * (i + 1)) % 40_000)),
      adapter: `a${t % adapters}`,
      maxNewTokens: options.new,
      eosTokenIds: [],
    }));
    const begin = performance.now();
    for await (const _ of model.generateBatch(texts));
    return (1000 * options.texts * options.new) / (performance.now() - begin);
  };
  await run(options.adapters);
  const rounds = [];
  for (let i = 0; i < options.rounds; i++) rounds.push({ one: await run(1), mixed: await run(options.adapters) });
  const one = median(rounds.map((round) => round.one));
  const mixed = median(rounds.map((round) => round.mixed));
  return { one, mixed, ratio: median(rounds.map((round) => round.mixed / round.one)) };
}

/** A LLaMA-7B whose 32 layers lie over the same bytes. */
function sharedLayers(engine) {
  const [D, F, V, H] = [4096, 11008, 64, 32];
  const config = {
    modelType: "llama",
    vocabSize: V,
    hiddenSize: D,
    intermediateSize: F,
    layers: 32,
    heads: H,
    kvHeads: H,
    headDim: D / H,
    contextLength: 2048,
    rmsNormEps: 1e-6,
    ropeTheta: 1e4,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    tiedEmbeddings: true,
    attentionBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [],
  };
  const layer = { attnNorm: [D], qkv: [3 * D, D], o: [D, D], mlpNorm: [D], gateUp: [2 * F, D], down: [D, F] };
  const sizeOf = (shape) => 2 * shape.reduce((a, b) => a * b, 1);
  const largest = sizeOf(layer.gateUp);
  const bytes = new SharedArrayBuffer(largest);
  const numbers = new Uint16Array(bytes);
  for (let i = 0; i < numbers.length; i++) numbers[i] = 0x3c00 + (Math.imul(i, 2654435761) >>> 22) + ((i & 1) << 15);
  const place = (shape) => ({ dtype: "bf16", shape, offset: 0, byteLength: sizeOf(shape) });
  const places = { [weightNames.embed]: place([V, D]), [weightNames.finalNorm]: place([D]) };
  for (let i = 0; i < config.layers; i++) {
    for (const [name, shape] of Object.entries(layer)) places[weightNames.layer(i, name)] = place(shape);
  }
  return createModel(engine, config, { bytes, places });
}

async function switching() {
  const engine = createEngine({ threads: options.threads });
  const model = new AdaptionPromptModel(sharedLayers(engine));
  const { length: numbers } = addAdapters(model, 2, 30);
  const cache = openPromptCache(model.base);
  const use = async (name) => {
    const begin = performance.now();
    model.setAdapter(name);
    const lease = await cache.lease(model.adapter(name));
    const ms = performance.now() - begin;
    lease.release();
    return ms;
  };
  const first = [await use("a0"), await use("a1")];
  const times = [];
  for (let i = 0; i < 200; i++) times.push(await use(`a${i % 2}`));
  return { numbers, firstMs: median(first), switchMs: median(times), worstMs: times.toSorted((a, b) => b - a)[10] };
}

const { one, mixed, ratio } = await throughput();
const { numbers, firstMs, switchMs, worstMs } = await switching();
console.log(
  `${options.texts} texts, tokens/s: one adapter ${one.toFixed(1)}, ${options.adapters} adapters ${mixed.toFixed(1)}`,
);
console.log(`mixed batch against one adapter: ${(100 * ratio).toFixed(1)} % (aim: 90)`);
console.log(
  `switching, ${numbers} numbers: ${switchMs.toFixed(3)} ms, 95th percentile ${worstMs.toFixed(3)} ms (aim: 1)`,
);
console.log(`first use of an adapter: ${firstMs.toFixed(0)} ms`);
const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}`;
console.log(JSON.stringify({ bench: "adapters", machine, ...options, one, mixed, ratio, switchMs, worstMs, firstMs }));
