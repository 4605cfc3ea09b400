/**
 * What visual queries cost on the host, forward and with gradients: the transformer of the fusion `query` over the tokens of an image,
 * random numbers in both. Needs a build, nothing of ../shared.
 *
 *   node bench/queries.mjs [--size released] [--threads 1] [--rounds 1]
 *
 * `released` is the transformer of LLaMA-Adapter V2's multimodal checkpoints on a 7B base (257 tokens of 768 numbers, width 768, eight
 * blocks), `small` what the embedded tower gives by default. Processor time: with one thread a busy machine does not count.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { visualQueries, visualQueriesBackward } from "../packages/core/dist/adapter/parts/visual_queries.js";
import { adapterLayout, initParameters, parseModelConfig } from "../packages/core/dist/index.js";
import { normal } from "../packages/core/dist/training.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "released" },
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "1" },
  },
});
const common = { fusion: "query", blockEps: 1e-6, normEps: 1e-5, missingImage: "none" };
const sizes = {
  released: {
    M: 257,
    D: 4096,
    vision: { ...common, featureSize: 768, embedSize: 768, blocks: 8, heads: 16, mlpSize: 3072 },
  },
  small: { M: 65, D: 128, vision: { ...common, featureSize: 48, embedSize: 48, blocks: 2, heads: 4, mlpSize: 192 } },
};
const { M, D, vision } = sizes[options.size];
const base = { model_type: "llama", vocab_size: 100, hidden_size: D, intermediate_size: D, num_hidden_layers: 2 };
const config = parseModelConfig({ ...base, num_attention_heads: D / 64 }, "config.json");
const layout = adapterLayout({ promptLength: 10, adaptedLayers: 1, vision }, config);
const adapter = { layout, params: initParameters(layout.table, 1) };
const numbers = layout.table.reduce(
  (sum, { part, shape }) => sum + (part === "visual" ? shape.reduce((a, b) => a * b) : 0),
  0,
);
const tokens_MC = Float32Array.from({ length: M * vision.featureSize }, (_, i) => normal(2, i));
const dqueries_KD = Float64Array.from({ length: 10 * D }, (_, i) => normal(3, i));
const wide = createEngine({ threads: Number(options.threads) });

function seconds(work) {
  const begin = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1e6;
}
const forward = [];
const backward = [];
const gradient = new Float32Array(layout.length);
for (let round = 0; round < Number(options.rounds); round++) {
  forward.push(seconds(() => visualQueries(adapter, vision, tokens_MC, wide)));
  const image = { tokens_MC, dqueries_KD };
  backward.push(seconds(() => visualQueriesBackward(adapter, vision, [image], gradient, wide)));
}
const { maxRSS } = process.resourceUsage();
console.log(
  `${options.size}: ${numbers} numbers, ${M} tokens: ${median(forward).toPrecision(3)} s forward, ${median(backward).toPrecision(3)} s with gradients (forward again included), ${Math.round(maxRSS / 1024)} MB at most`,
);
console.log(
  JSON.stringify({
    bench: "queries",
    machine: `${cpus()[0]?.model}, level ${probe().level}`,
    ...options,
    forward,
    backward,
  }),
);
