/**
 * What a quiet machine should show of training on the CPU, in about ten minutes: whole steps against PEFT at 135 M and 1.1 B, as runs
 * do them by default and without what PEFT does not do; 200 shared tokens of a system prompt; two workers against one on Alpaca's plan.
 * Benchmarks run one after another; the table is written after each.
 * Needs a build, ../shared/data and, for PEFT, ZEROGATE_PYTHON.
 *
 *   node bench/quiet.mjs [--out quiet.md] [--only peft-135m,peft-1.1b,system,workers]
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "./cpu_model.mjs";

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: "quiet.md" },
    only: { type: "string", default: "peft-135m,peft-1.1b,system,workers" },
  },
});

/** Ratios to PEFT's best with dynamic padding in any type, by arithmetic and way. */
function againstPeft(name, { rows, realTokens }, aim) {
  const best = (some) => Math.max(...some.map(({ rate }) => rate));
  const peft = rows.filter(({ padding }) => padding === "sorted");
  if (peft.length === 0) return [[`${name} against PEFT`, aim, "PEFT was not run: ZEROGATE_PYTHON names no Python"]];
  const own = rows.filter(({ way }) => way);
  const ways = [...new Set(own.map(({ compute, way }) => `${compute} ${way}`))];
  const all = `${realTokens} tokens, PEFT ${best(peft).toFixed(0)} tokens/s`;
  return ways.map((way) => {
    const rate = best(own.filter((row) => `${row.compute} ${row.way}` === way));
    return [
      `${name}, ${way} against PEFT's best`,
      aim,
      `${(rate / best(peft)).toFixed(2)} x (${rate.toFixed(0)}; ${all})`,
    ];
  });
}

/** Arguments of each benchmark, and the rows of the table that its result gives. */
const benches = {
  "peft-135m": {
    args: ["vs_peft/run.mjs", "--model", "135m", "--samples", "32", "--rounds", "2", "--layout", "1x2"],
    rows: (result) => againstPeft("135 M", result, "3.5 (bf16)"),
  },
  "peft-1.1b": {
    args: ["vs_peft/run.mjs", "--model", "1.1b", "--samples", "8", "--batch", "8", "--rounds", "2", "--layout", "1x2"],
    rows: (result) => againstPeft("1.1 B", result, "2 (bf16)"),
  },
  system: {
    args: ["beginnings.mjs", "--system", "200", "--batch", "16", "--rounds", "2"],
    rows({ rows, left }) {
      const times = new Map(rows.map(([name, row]) => [name, row.times]));
      const ratio = (way) => median(times.get("all").map((ms, round) => ms / times.get(way)[round]));
      const share = `${(100 * left).toFixed(1)} % of the tokens computed`;
      return ["beginnings", "both"].map((way) => {
        return [`200 shared tokens, ${way} against all`, "2", `${ratio(way).toFixed(3)} x (${share})`];
      });
    },
  },
  workers: {
    args: ["cpu_step.mjs", "--samples", "32", "--compute", "bf16", "--layout", "1x1,2x1", "--multiple", "8"],
    rows({ rows }, stdout) {
      const [, ratio = "?"] = /2 × 1 over 1 × 1: (.*)/.exec(stdout) ?? [];
      const rates = rows.map(({ tokensPerSecond }) => tokensPerSecond).join(" and ");
      return [["two workers against one, Alpaca's plan", "1.92", `${ratio}, ${rates} tokens/s`]];
    },
  },
};

async function run([script, ...args]) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${script} ended with exit code ${code}`);
  return stdout;
}

const unknown = options.only.split(",").filter((name) => !(name in benches));
if (unknown.length > 0) {
  throw new Error(`Cannot run ${unknown.join(", ")}: ${Object.keys(benches).join(", ")} are there`);
}
const lines = [
  `${cpus()[0]?.model}, ${cpus().length} CPUs, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)} at the start`,
  "",
  "| figure | aim | found | seconds |",
  "|---|---|---|---|",
];
for (const name of options.only.split(",")) {
  const { args, rows } = benches[name];
  const begin = performance.now();
  let found;
  try {
    const stdout = await run(args);
    found = rows(JSON.parse(stdout.trim().split("\n").at(-1)), stdout);
  } catch (error) {
    found = [[name, "", `failed: ${error.message}`]];
    process.exitCode = 1;
  }
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  for (const [figure, aim, value] of found) lines.push(`| ${figure} | ${aim} | ${value} | ${seconds} |`);
  writeFileSync(options.out, `${lines.join("\n")}\n`);
  process.stderr.write(`${name}: ${seconds} s\n`);
}
process.stdout.write(`${lines.join("\n")}\n`);
