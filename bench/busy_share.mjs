/**
 * How busy devices are with a plan, and nothing else: no step is computed. Needs a build.
 *
 *   node bench/busy_share.mjs [data file] [tokenizer folder]
 *
 * Prints Markdown tables for LLaMA-7B's costs, cells of 2,048 tokens and records of 512: docs/scaling.md has them.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseModelConfig } from "../packages/core/dist/index.js";
import { trainingCost } from "../packages/core/dist/training.js";
import {
  busyShare,
  createPlan,
  loadTemplate,
  loadTokenizer,
  measureSamples,
  planCosts,
  prepareTokens,
} from "../packages/data/dist/index.js";

const shared = (path) => fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
const [paths = shared("alpaca-52k/alpaca_data.json"), folder = shared("llama2-tokenizer")] = process.argv.slice(2);
const model = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
  },
  "LLaMA-7B",
);
const cost = trainingCost(model, 30);
const devices = [1, 2, 4, 8, 16];

const cacheDir = await mkdtemp(join(tmpdir(), "zerogate-tokens-"));
try {
  const { tokens } = await prepareTokens({
    paths,
    tokenizer: await loadTokenizer(folder),
    template: await loadTemplate("alpaca"),
    rule: "response",
    maxLength: 512,
    cacheDir,
    onWarning: (message) => process.stderr.write(`${message}\n`),
  });
  const sizes = measureSamples(tokens);
  const samples = Array.from({ length: sizes.lengths.length }, (_, i) => i);
  const rows = [0, 1, 2, 4, 8, 16].flatMap((multiple) =>
    [16, 32, 64, 128, 256].map((batchSize) => {
      const even = multiple > 0 ? { multiple, cost } : undefined;
      const plan = createPlan({ ...sizes, samples, seed: 0, batchSize, cellTokens: 2048, even, dropLast: true });
      const steps = planCosts(plan, sizes, cost);
      const cells = steps.reduce((sum, step) => sum + step.length, 0) / steps.length;
      const shares = devices.map((count) => `${(100 * busyShare(steps, count)).toFixed(1)} %`);
      return `| ${multiple} | ${batchSize} | ${cells.toFixed(1)} | ${shares.join(" | ")} |`;
    }),
  );
  const head = ["cellMultiple", "batch", "cells a step", ...devices.map((count) => `${count}`)];
  const lines = [`| ${head.join(" | ")} |`, `|${"---|".repeat(head.length)}`, ...rows, ""];
  process.stdout.write(lines.join("\n"));
} finally {
  await rm(cacheDir, { recursive: true });
}
