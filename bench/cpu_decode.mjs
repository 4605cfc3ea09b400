/**
 * Generation on the CPU engine: prefill and greedy decoding at batch 1, base model and adapter. Needs a build and ../shared/data.
 *
 *   node bench/cpu_decode.mjs [--model 135m] [--prompt 128] [--new 64] [--threads 2] [--rounds 5] [--compute f32] [--packing]
 *
 * Checks first that cached decoding takes the tokens of whole passes. With ZEROGATE_PYTHON also runs transformers' generate
 * (bf16 and f32) on the same weights and prompt, without an adapter, as ours is then.
 */
import { execFileSync } from "node:child_process";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createModel, oneSequence, openSession, tokenLogits } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { loadSamples, makeModel, median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "135m" },
    prompt: { type: "string", default: "128" },
    new: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    compute: { type: "string", default: "f32" },
    packing: { type: "boolean", default: false },
  },
});
const [promptLength, newTokens] = [Number(options.prompt), Number(options.new)];
const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
const config = await readModelConfig(folder);
const { compute, packing } = options;
const engine = createEngine({ threads: Number(options.threads), compute, packing });
const model = createModel(engine, config, await loadWeights(folder, config, { weightDtypes: engine.weightDtypes }));
const tokens = await loadSamples(32, folder);
const prompt = Array.from(tokens.ids.subarray(0, promptLength));
const best = (logits) => logits.indexOf(Math.max(...logits));

async function run() {
  const session = await openSession(model, undefined, promptLength + newTokens);
  const begin = performance.now();
  let next = best(await session.append(prompt));
  const prefilled = performance.now();
  const ids = [next];
  while (ids.length < newTokens) ids.push((next = best(await session.append([next]))));
  const end = performance.now();
  await session.close();
  return {
    ids,
    prefill: promptLength / ((prefilled - begin) / 1000),
    decode: (newTokens - 1) / ((end - prefilled) / 1000),
  };
}

const first = await run();
for (const length of [0, 3]) {
  const whole = [...prompt, ...first.ids.slice(0, length)];
  const logits = await tokenLogits(model, undefined, oneSequence(whole), Int32Array.of(whole.length - 1));
  if (best(logits) !== first.ids[length])
    throw new Error(`Cannot time: token ${length} differs from that of a whole pass`);
}
const rounds = [];
for (let i = 0; i < Number(options.rounds); i++) rounds.push(await run());
const rows = [
  {
    who: `zerogate ${compute}${packing ? ", packed" : ""}`,
    prefill: median(rounds.map((r) => r.prefill)),
    decode: median(rounds.map((r) => r.decode)),
  },
];
if (process.env.ZEROGATE_PYTHON) {
  const script = fileURLToPath(new URL("vs_peft/generate.py", import.meta.url));
  const job = JSON.stringify({
    model: folder,
    prompt,
    newTokens,
    threads: Number(options.threads),
    rounds: Number(options.rounds),
  });
  const out = execFileSync(process.env.ZEROGATE_PYTHON, [script, job], { encoding: "utf8" });
  for (const line of out.trim().split("\n")) rows.push(JSON.parse(line));
} else {
  console.log("transformers was not run: ZEROGATE_PYTHON names no Python");
}
console.log(
  `${options.model}, prompt of ${promptLength}, ${newTokens} new tokens, ${options.threads} threads; tokens/s`,
);
for (const { who, prefill, decode } of rows)
  console.log(who.padEnd(24), `prefill ${prefill.toFixed(0).padStart(6)}`, `decode ${decode.toFixed(1).padStart(7)}`);
console.log(
  JSON.stringify({
    bench: "cpu_decode",
    machine: `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}`,
    ...options,
    rows,
  }),
);
