/**
 * Zerogate's CPU engine and PEFT on PyTorch: whole training steps over the same samples and weights on this machine.
 * Needs a build and ../shared/data; PEFT's side needs a Python with torch, transformers and peft: ZEROGATE_PYTHON names it.
 *
 *   node bench/vs_peft/run.mjs [--model 135m] [--samples 64] [--batch 32] [--rounds 3] [--full] [--cell 2048] [--no-plain] [--layout 2x1,1x2]
 *
 * Ours are runs by default (8 even cells, packed maps, equal beginnings once, the last layer for labelled tokens alone), and what
 * PEFT could do as well: first-fit cells, every token of every layer. `--no-plain` leaves the latter out.
 * `--full` also runs PEFT padded to 512 tokens, the setting of the paper's code; it takes minutes.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { probe } from "../../packages/engine-cpu/dist/index.js";
import { adaptedLayers, loadSamples, makeModel } from "../cpu_model.mjs";

const run = promisify(execFile);
const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "135m" },
    samples: { type: "string", default: "64" },
    batch: { type: "string", default: "32" },
    rounds: { type: "string", default: "3" },
    cell: { type: "string", default: "2048" },
    micro: { type: "string", default: "8" },
    full: { type: "boolean", default: false },
    "no-plain": { type: "boolean", default: false },
    layout: { type: "string", default: "2x1,1x2" },
  },
});
const folder = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
const tokens = await loadSamples(Number(options.samples), folder);
const samples = Array.from({ length: tokens.offsets.length - 1 }, (_, i) => ({
  ids: Array.from(tokens.ids.subarray(tokens.offsets[i], tokens.offsets[i + 1])),
  target: Array.from(tokens.target.subarray(tokens.offsets[i], tokens.offsets[i + 1])),
}));

/** What runs do by default, and nothing that PEFT does not do. */
const ways = {
  default: ["--multiple", "8", "--packing", "--share", "--skip"],
  plain: ["--multiple", "0"],
};

async function ours(compute, way) {
  const script = fileURLToPath(new URL("../cpu_step.mjs", import.meta.url));
  const { model, samples: count, batch, rounds, cell, layout } = options;
  const flags = { model, samples: count, batch, rounds, cell, compute, layout };
  const { stdout } = await run(process.execPath, [
    script,
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ...ways[way],
  ]);
  const { rows } = JSON.parse(stdout.trim().split("\n").at(-1));
  return rows.map((row) => ({
    way,
    compute,
    who: `zerogate ${compute}, ${way}, ${row.workers} × ${row.threads} threads`,
    rate: row.tokensPerSecond,
  }));
}

async function theirs() {
  const python = process.env.ZEROGATE_PYTHON;
  if (!python) return [];
  const job = join(folder, `job-${process.pid}.json`);
  const micro = Number(options.micro);
  const settings = [
    { dtype: "bfloat16", padding: "sorted", micro },
    { dtype: "float32", padding: "sorted", micro },
    ...(options.full ? [{ dtype: "bfloat16", padding: "full", micro }] : []),
  ];
  const sizes = { threads: 2, batch: Number(options.batch), rounds: Number(options.rounds), fullLength: 512, K: 10 };
  await writeFile(job, JSON.stringify({ model: folder, samples, L: adaptedLayers[options.model], settings, ...sizes }));
  const script = fileURLToPath(new URL("peft_step.py", import.meta.url));
  const { stdout } = await run(python, [script, job], { maxBuffer: 2 ** 26 });
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const { dtype, padding, micro: size, tokensPerSecond, versions } = JSON.parse(line);
      return {
        who: `PEFT ${dtype}, ${padding === "full" ? "padded to 512" : "sorted by length"}, micro-batch ${size}`,
        rate: tokensPerSecond,
        versions,
        padding,
      };
    });
}

// In turn, not at once: both use all processors.
const first = await ours("f32", "default");
const peft = await theirs();
const rest = [];
for (const [compute, way] of [
  ["bf16", "default"],
  ["f32", "plain"],
  ["bf16", "plain"],
]) {
  if (way === "plain" && options["no-plain"]) continue;
  if (compute === "bf16" && !probe().bf16Levels.includes(probe().level)) continue;
  rest.push(...(await ours(compute, way)));
}
const own = [...first, ...rest];
const best = (rows) => Math.max(...rows.map((row) => row.rate));
console.log(
  `${options.model}: ${samples.length} Alpaca samples, ${tokens.ids.length} real tokens, global batch ${options.batch}, K = 10, L = ${adaptedLayers[options.model]}`,
);
for (const { who, rate } of [...own, ...peft]) console.log(who.padEnd(60), `${rate.toFixed(1)} tokens/s`.padStart(18));
const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs`;
if (peft.length === 0) {
  console.log(`PEFT was not run: ZEROGATE_PYTHON names no Python; ${machine}`);
} else {
  const sorted = best(peft.filter((row) => row.padding === "sorted"));
  const full = peft.filter((row) => row.padding === "full");
  const against = (rate) =>
    [...new Set(own.map(({ compute, way }) => `${compute} ${way}`))]
      .map((name) => {
        const rows = own.filter(({ compute, way }) => `${compute} ${way}` === name);
        return `${name} ${(best(rows) / rate).toFixed(2)} ×`;
      })
      .join(", ");
  console.log(`against PEFT's best with dynamic padding: ${against(sorted)}`);
  if (full.length > 0) console.log(`against PEFT padded to 512: ${against(best(full))}`);
  console.log(`${machine}; ${peft[0].versions}`);
}
console.log(
  JSON.stringify({
    bench: "vs_peft",
    machine,
    ...options,
    realTokens: tokens.ids.length,
    rows: [...own, ...peft],
  }),
);
