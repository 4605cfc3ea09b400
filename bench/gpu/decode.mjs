/**
 * Decoding on one GPU with random weights: tokens per second of one text and of eight, with CUDA graphs and without, and that both
 * give the same tokens.
 *
 *   node bench/gpu/decode.mjs [--shape 7b] [--prompt 128] [--new 64] [--device 0] [--out FILE]
 */
import { createModel, generateBatch, initParameters, layerParts, partNumbers } from "../../packages/core/dist/index.js";
import { createEngine } from "../../packages/engine-cuda/dist/index.js";
import { modelOf, randomImage } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ prompt: "128", new: "64" });
const [promptTokens, newTokens] = [options.prompt, options.new].map(Number);
const { config, layout } = modelOf(options.shape);
const image = randomImage(config);
const params = initParameters(layout.table, 1);
for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.1);

const rows = [];
const tokens = new Map();
for (const graphs of [false, true]) {
  const engine = createEngine({ devices: [Number(options.device)], compute: "bf16", graphs });
  try {
    const model = createModel(engine, config, image);
    for (const texts of [1, 8]) {
      const run = async (maxNewTokens) => {
        const promptIds = (text) =>
          Array.from({ length: promptTokens }, (_, t) => (37 * t + 11 * text) % config.vocabSize);
        const requests = Array.from({ length: texts }, (_, text) => ({
          promptIds: promptIds(text),
          adapter: { layout, params },
          maxNewTokens,
          eosTokenIds: [],
        }));
        const ids = [];
        const begin = performance.now();
        for await (const event of generateBatch(model, requests)) if ("id" in event) ids.push(event.id);
        return { ms: performance.now() - begin, ids: ids.join() };
      };
      await run(4); // kernels, algorithms, the graph
      const [prefill, whole] = [await run(1), await run(newTokens + 1)];
      const known = tokens.get(texts) ?? tokens.set(texts, whole.ids).get(texts);
      const sameTokens = known === whole.ids;
      const ms = (whole.ms - prefill.ms) / newTokens;
      rows.push({
        texts,
        graphs,
        prefillMs: prefill.ms,
        msPerToken: ms,
        tokensPerSecond: (1000 * texts) / ms,
        sameTokens,
      });
      if (!sameTokens) process.exitCode = 1;
      console.log(`${texts} texts, graphs ${graphs}: ${ms.toFixed(2)} ms a token, same tokens: ${sameTokens}`);
    }
  } finally {
    engine.close();
  }
}
writeResult(options, { promptTokens, newTokens, rows });
