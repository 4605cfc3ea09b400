/**
 * Reads, tokenises and plans a whole dataset, then loads it again from the cache. Needs a build.
 *
 *   node bench/data_plan.mjs [data file] [tokenizer folder] [threads]
 *
 * Prints seconds, the process's largest resident memory (worker threads included) and the counts.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createPlan,
  loadTemplate,
  loadTokenizer,
  measureSamples,
  prepareTokens,
  splitSamples,
} from "../packages/data/dist/index.js";

const shared = (path) => fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
const [paths = shared("alpaca-52k/alpaca_data.json"), folder = shared("llama2-tokenizer"), threads] =
  process.argv.slice(2);

const cacheDir = await mkdtemp(join(tmpdir(), "zerogate-tokens-"));
const seconds = (begin) => ((performance.now() - begin) / 1000).toFixed(2);
const peakMegabytes = () => (process.resourceUsage().maxRSS / 1024).toFixed(0);

async function run(name) {
  const begin = performance.now();
  const tokenizer = await loadTokenizer(folder);
  const template = await loadTemplate("alpaca");
  const prepared = await prepareTokens({
    paths,
    tokenizer,
    template,
    rule: "response",
    maxLength: 512,
    cacheDir,
    onWarning: (message) => process.stderr.write(`${message}\n`),
    ...(threads && { threads: Number(threads) }),
  });
  const prepareSeconds = seconds(begin);
  const { train, validation } = splitSamples(prepared.tokens, { seed: 1, validation: 0.01 });
  const planBegin = performance.now();
  const input = { ...measureSamples(prepared.tokens), samples: train, seed: 1, batchSize: 64, cellTokens: 4096 };
  const plan = createPlan(input);
  let cells = 0;
  for (let step = 0; step < plan.stepsPerEpoch; step++) cells += plan.step(step).cells.length;
  process.stdout.write(
    `${name}: ${seconds(begin)} s (read and tokenised ${prepareSeconds} s, one epoch planned ${seconds(planBegin)} s), peak ${peakMegabytes()} MB\n`,
  );
  return { prepared, validation, plan, cells };
}

try {
  const first = await run("from files");
  const again = await run("from cache");
  const { stats, skipped, tokens } = again.prepared;
  if (tokens.hash !== first.prepared.tokens.hash || !again.prepared.isCached)
    throw new Error("Cannot report: the cache gave other tokens");
  process.stdout.write(
    `${stats.samples} samples (${skipped} bad skipped, ${stats.truncated} cut, ${stats.droppedNoTarget} without a target), ` +
      `${stats.tokens} tokens, ${stats.labelled} targets, mean ${stats.meanLength.toFixed(1)}, longest ${stats.longest}\n` +
      `${first.plan.stepsPerEpoch} steps an epoch, ${first.cells} cells, ${first.validation.length} validation samples, hash ${tokens.hash}\n` +
      `${cpus()[0]?.model}, ${threads ?? availableParallelism()} threads, Node ${process.version}\n`,
  );
} finally {
  await rm(cacheDir, { recursive: true });
}
