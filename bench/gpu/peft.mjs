/**
 * PEFT on PyTorch on the same GPU, the same shape with random weights: adaption prompt and LoRA (r = 8), over the samples of
 * step.mjs. `python3` or ZEROGATE_PYTHON needs torch, transformers and peft; if they are absent the result says so.
 *
 *   node bench/gpu/peft.mjs [--shape 7b] [--tokens 4096] [--rounds 3] [--micro 8] [--torch-device cuda:0] [--out FILE]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { alpacaLengths, configJson, cutIntoCells, modelOf, promptLength } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ tokens: "4096", rounds: "3", micro: "8", "torch-device": "" });
const device = options["torch-device"] || `cuda:${String(options.device)}`;
const python = process.env.ZEROGATE_PYTHON || "python3";
const tokens = Number(options.tokens);
const { config, adaptedLayers } = modelOf(options.shape);

function whyNot() {
  const imports = `import torch, transformers, peft; torch.zeros(1, device="${String(device)}")`;
  const asked = spawnSync(python, ["-c", imports], { encoding: "utf8" });
  if (asked.status === 0) return undefined;
  return `${python}: ${asked.error?.message ?? asked.stderr.trim().split("\n").at(-1)}`;
}

function run(samples, batch, padding, fullLength) {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-peft-"));
  try {
    const ids = (length, s) =>
      Array.from({ length }, (_, t) => (Math.imul(t + 977 * s, 40503) >>> 4) % config.vocabSize);
    const settings = ["adaption_prompt", "lora"].map((method) => ({
      dtype: "bfloat16",
      padding,
      micro: Number(options.micro),
      method,
    }));
    const job = join(folder, "job.json");
    const data = samples.map(([length, answer], s) => ({
      ids: ids(length, s),
      target: Array.from({ length }, (_, t) => (t >= length - answer ? 1 : 0)),
    }));
    const sizes = { K: promptLength, L: adaptedLayers, batch, fullLength, rounds: Number(options.rounds) };
    const more = { device, config: configJson(options.shape), samples: data, settings };
    writeFileSync(job, JSON.stringify({ ...sizes, ...more }));
    const script = fileURLToPath(new URL("../vs_peft/peft_step.py", import.meta.url));
    const { status, stdout, stderr } = spawnSync(python, [script, job], { encoding: "utf8", maxBuffer: 2 ** 26 });
    if (status !== 0) throw new Error(`Cannot time PEFT: ${stderr.trim().split("\n").slice(-3).join(" ")}`);
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const skipped = whyNot();
if (skipped) {
  console.log(`PEFT is skipped: ${skipped}`);
  writeResult(options, { skipped });
} else {
  const rowTokens = Math.min(512, tokens);
  const rows = Array.from({ length: Math.floor(tokens / rowTokens) }, () => [rowTokens, rowTokens]);
  const records = (await alpacaLengths()).lengthsAndAnswers.filter(([length]) => length <= tokens);
  const alpaca = cutIntoCells(records, tokens).slice(0, 2).flat();
  const result = {
    rows: [
      ...run(rows, rows.length, "full", rowTokens).map((row) => ({ ...row, id: "rows" })),
      // One step of all samples, padded to the longest of each micro-batch, sorted by length: PEFT at its best.
      ...run(alpaca, alpaca.length, "sorted", rowTokens).map((row) => ({ ...row, id: "alpaca" })),
    ],
  };
  for (const { id, method, tokensPerSecond } of result.rows) {
    console.log(`PEFT ${method}, ${id}: ${tokensPerSecond.toFixed(0)} tokens/s`);
  }
  writeResult(options, result);
}
