/**
 * Texts of a scheduler on the CPU engine, 135M shape with random weights. Needs a build.
 *
 *   node bench/serving.mjs [--texts 16] [--adapters 4] [--prompt 64] [--new 32] [--rounds 3] [--threads 2] [--model 135m]
 *
 * 1. Tokens/s of all texts at once over the same texts one after another.
 * 2. The price of the same bits in any batch: the same with sums in the faster order for each number of rows.
 * 3. Sampling (temperature 0.8, top-p 0.9) over greedy decoding.
 * 4. The first token of a second turn, with its beginning kept and without.
 */
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { adapterLayout, createModel, initParameters, layerParts, openScheduler } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { adaptedLayers, makeModel, median } from "./cpu_model.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "135m" },
    texts: { type: "string", default: "16" },
    adapters: { type: "string", default: "4" },
    prompt: { type: "string", default: "64" },
    new: { type: "string", default: "32" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
  },
});
const { model: shape, ...numbers } = values;
const options = Object.fromEntries(Object.entries(numbers).map(([name, text]) => [name, Number(text)]));

const folder = await makeModel(shape, join(tmpdir(), `zerogate-bench-${shape}`));
const config = await readModelConfig(folder);
const engine = createEngine({ threads: options.threads });
const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
const invariant = createModel(engine, config, image);
/** Sums in the order that is fastest for this number of rows, which promises no bits. */
const fastest = {
  ...invariant,
  engine: { ...engine, linear: (x, weight, settings) => engine.linear(x, weight, { ...settings, order: "any" }) },
};
const layout = adapterLayout(
  { promptLength: 10, adaptedLayers: adaptedLayers[shape], gateSharing: "scalar", gateActivation: "none" },
  config,
);
const adapters = Array.from({ length: options.adapters }, (_, a) => {
  const params = initParameters(layout.table, a);
  for (const { gate } of layerParts(layout)) params[gate.offset] = 0.5;
  return { layout, params };
});
const promptOf = (t, length) => Array.from({ length }, (_, i) => 3 + ((7919 * (t + 1) * (i + 1)) % 30_000));
const requests = Array.from({ length: options.texts }, (_, t) => ({
  promptIds: promptOf(t, options.prompt),
  adapter: adapters[t % options.adapters],
  maxNewTokens: options.new,
  eosTokenIds: [],
}));

/** Tokens/s of all requests, `maxRunning` at a time. */
async function speed(model, maxRunning, sampling = {}) {
  const scheduler = openScheduler(model, { maxRunning, keptTexts: 0 });
  const begin = performance.now();
  await Promise.all(
    requests.map(async (request) => {
      for await (const _ of scheduler.submit({ ...request, ...sampling }));
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  await scheduler.close();
  return (options.texts * options.new) / seconds;
}

/** Milliseconds to the first token of a second turn after `history` tokens. */
async function secondTurn(keptTexts, history = 400) {
  const scheduler = openScheduler(invariant, { keptTexts });
  const first = promptOf(50, history - 16);
  const ids = [];
  for await (const event of scheduler.submit({ ...requests[0], promptIds: first, maxNewTokens: 16 })) {
    if ("id" in event) ids.push(event.id);
  }
  const begin = performance.now();
  let firstToken;
  const next = { ...requests[0], promptIds: [...first, ...ids, ...promptOf(51, 8)], maxNewTokens: 2 };
  for await (const _ of scheduler.submit(next)) firstToken ??= performance.now() - begin;
  await scheduler.close();
  return firstToken;
}

const sampled = { temperature: 0.8, topP: 0.9, seed: 1 };
await speed(invariant, options.texts);
const rounds = [];
for (let i = 0; i < options.rounds; i++) {
  rounds.push({
    alone: await speed(invariant, 1),
    together: await speed(invariant, options.texts),
    fastest: await speed(fastest, options.texts),
    sampled: await speed(invariant, options.texts, sampled),
    cold: await secondTurn(0),
    kept: await secondTurn(4),
  });
}
const ratio = (a, b) => median(rounds.map((round) => round[a] / round[b]));
const result = {
  tokensPerSecond: Object.fromEntries(
    ["alone", "together", "fastest", "sampled"].map((name) => [name, median(rounds.map((round) => round[name]))]),
  ),
  together: ratio("together", "alone"),
  invariant: ratio("together", "fastest"),
  sampled: ratio("sampled", "together"),
  secondTurn: ratio("cold", "kept"),
};
console.log(`${options.texts} texts at once over one after another: ${result.together.toFixed(2)} x (aim: 3.5)`);
console.log(`the same bits in any batch over the faster sums: ${result.invariant.toFixed(2)} (aim: 0.9)`);
console.log(`sampled over greedy: ${result.sampled.toFixed(2)} (aim: 0.8)`);
console.log(`first token of a second turn: ${result.secondTurn.toFixed(1)} x sooner with its beginning kept (aim: 10)`);
const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}`;
console.log(JSON.stringify({ bench: "serving", machine, shape, ...options, ...result }));
