/** The parts' results as one Markdown page: machine, date, commit, aims beside figures. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** @param folder with suite.json, probe.json, …; what is not there is named as not run. */
export function gpuTable(folder, shape) {
  const read = (part) => {
    const file = join(folder, `${part}.json`);
    return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  };
  const [first, suite, probe, step, decode, peft] = ["first", "suite", "probe", "step", "decode", "peft"].map(read);
  const machine = [
    probe ? `${probe.gpu.name}, driver for CUDA ${probe.gpu.driver}` : "GPU not probed",
    `${cpus()[0]?.model}, ${cpus().length} CPUs`,
    `Node ${process.version}`,
  ];
  const head = `# GPU benchmark, shape ${shape}\n\n${machine.join("; ")}; ${new Date().toISOString().slice(0, 10)}; commit ${commit()}`;
  const sections = [
    head,
    firstText(first),
    suiteText(suite),
    stepText(step, peft),
    decodeText(decode),
    probeText(probe),
  ];
  return `${sections.join("\n\n")}\n`;
}

function commit() {
  const carried = join(root, "COMMIT"); // a carried folder has no history
  if (existsSync(carried)) return readFileSync(carried, "utf8").trim();
  const { status, stdout } = spawnSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "unknown";
}

function firstText(first) {
  if (!first) return "First look: not run.";
  const lines = first.stages.map(
    ({ name, seconds, error }) => `- ${name}: ${error ?? "done"}, ${seconds.toFixed(1)} s`,
  );
  const [kernels, steps] = ["kernels", "steps"].map((name) => first.stages.find((one) => one.name === name));
  for (const { name, ok, error, reason } of kernels?.rows ?? []) {
    lines.push(`- ${name}: ${ok ? "right" : "WRONG"}, largest error ${reason ?? error.toExponential(1)}`);
  }
  if (!steps?.ms) return ["First look:", ...lines].join("\n");
  const { ms, budget, tflops, tokens } = steps;
  const expected = Object.values(budget).reduce((a, b) => a + b);
  const phases = Object.entries(ms).map(([name, own]) => `${name} ${own.toFixed(1)}`);
  lines.push(`- a step of ${tokens} tokens, ms: ${phases.join(", ")}; ${tflops.toFixed(1)} TFLOP/s`);
  const parts = Object.entries(budget).map(([name, own]) => `${name} ${own}`);
  lines.push(`- budget of an H100 at 4096 tokens, ms: ${parts.join(", ")}: ${expected.toFixed(1)}`);
  return ["First look:", ...lines].join("\n");
}

function suiteText(suite) {
  if (!suite) return "Correctness suite: not run.";
  const { passed, failed, skipped, names } = suite;
  return [
    `Correctness suite: ${passed} passed, ${failed} failed, ${skipped} skipped.`,
    ...names.map((name) => `- ${name}`),
  ].join("\n");
}

function stepText(step, peft) {
  const lines = [
    "| step | tokens/s | ms | TFLOP/s | of the peak | memory used, planned | two runs |",
    "|---|---|---|---|---|---|---|",
  ];
  for (const row of step?.rows ?? []) {
    const off = row.peakBytes / row.plannedBytes - 1;
    const memory = `${gib(row.peakBytes)}, ${gib(row.plannedBytes)} (${off > 0 ? "+" : ""}${percent(off)})`;
    const share = `${percent(row.ofPeak)} of ${step.peak}`;
    lines.push(
      `| Zerogate bf16, ${row.name} | ${row.tokensPerSecond.toFixed(0)} | ${row.ms.toFixed(1)} (host ${row.hostMs.toFixed(1)}) | ${row.tflops.toFixed(1)} | ${share} | ${memory} | ${row.sameBits ? "same bits" : "OTHER BITS"} |`,
    );
  }
  const best = new Map();
  for (const { method, id, padding, micro, tokensPerSecond } of peft?.rows ?? []) {
    const what = id === "rows" ? "rows" : "Alpaca";
    lines.push(
      `| PEFT ${method} bf16, ${what}, ${padding === "full" ? "no padding" : "sorted, padded"}, micro-batch ${micro} | ${tokensPerSecond.toFixed(0)} | | | | | |`,
    );
    if (method === "adaption_prompt") best.set(id, tokensPerSecond);
  }
  const notes = [];
  if (!step) notes.push("Training step: not run.");
  for (const row of step?.rows ?? []) {
    const theirs = best.get(row.id);
    if (theirs)
      notes.push(`${row.name}: ${(row.tokensPerSecond / theirs).toFixed(2)} × PEFT's adaption prompt (aim 1.5).`);
    if (row.id === "rows") notes.push(`Aim for rows: 60 % of 989 TFLOP/s, 22,900 tokens/s on one H100.`);
    if (row.alpacaMinutes)
      notes.push(`Alpaca 52 K × 5 epochs, projected: ${row.alpacaMinutes.toFixed(1)} minutes (aim 27).`);
  }
  if (!peft) notes.push("PEFT: not run.");
  if (peft?.skipped) notes.push(`PEFT: skipped, ${peft.skipped}.`);
  if (peft?.rows) notes.push(peft.rows[0].versions);
  return [lines.join("\n"), notes.map((note) => `- ${note}`).join("\n")].join("\n\n");
}

function decodeText(decode) {
  if (!decode) return "Decoding: not run.";
  const lines = decode.rows.map(
    ({ texts, graphs, msPerToken, tokensPerSecond, prefillMs, sameTokens }) =>
      `| ${texts} | ${graphs ? "graphs" : "launches"} | ${tokensPerSecond.toFixed(1)} | ${msPerToken.toFixed(2)} | ${prefillMs.toFixed(1)} | ${sameTokens ? "same" : "OTHER"} |`,
  );
  const head = `Decoding of ${decode.newTokens} tokens after ${decode.promptTokens}:\n\n| texts | by | tokens/s | ms a token | first token, ms | tokens |\n|---|---|---|---|---|---|`;
  return [head, ...lines].join("\n");
}

function probeText(probe) {
  if (!probe) return "Probe: not run.";
  const { bandwidth, launchMicroseconds: launch, products, kernels, tokens } = probe;
  const rates = Object.entries(bandwidth).map(([name, rate]) => `${name} ${rate.toFixed(1)}`);
  const facts = [
    `Bandwidth, GB/s: ${rates.join(", ")}.`,
    `A launch: ${launch.enqueue.toFixed(2)} µs to enqueue, ${launch.done.toFixed(2)} µs done.`,
  ];
  const rows = [...products, ...kernels].map(
    ({ name, shape, ms, tflops, gbPerSecond }) =>
      `| ${name}${shape ? ` [${shape.join(", ")}]` : ""} | ${ms.toFixed(3)} | ${tflops?.toFixed(1) ?? ""} | ${gbPerSecond?.toFixed(0) ?? ""} |`,
  );
  return [
    facts.join("\n"),
    `| at ${tokens} tokens | ms | TFLOP/s | GB/s |\n|---|---|---|---|\n${rows.join("\n")}`,
  ].join("\n\n");
}
