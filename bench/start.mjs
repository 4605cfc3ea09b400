/**
 * How long `zerogate train` takes until its first step starts: the whole command, from its process to the moment when all
 * workers are ready. Its first run puts tokens and the base's hash into a cache and is reported separately. Needs a build and
 * ../shared/data.
 *
 *   node bench/start.mjs [--model 1.1b] [--workers 2] [--rounds 5] [flags of zerogate train …]
 */
import { spawn } from "node:child_process";
import { copyFileSync, linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeModel, median, shared } from "./cpu_model.mjs";

const AIM_SECONDS = 2;
/** A file that has just changed is not kept in the cache of hashes. */
const SETTLED_MS = 11_000;

const { values: options, positionals: more } = parseArgs({
  options: {
    model: { type: "string", default: "1.1b" },
    workers: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
  },
  allowPositionals: true,
});
const made = await makeModel(options.model, join(tmpdir(), `zerogate-bench-${options.model}`));
// In the same file system: its files are linked, not copied.
const folder = mkdtempSync(join(tmpdir(), "zerogate-start-"));
const model = mkdtempSync(join(folder, "base-"));
for (const name of ["config.json", "model.safetensors"]) linkSync(join(made, name), join(model, name));
for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
  copyFileSync(shared(`llama2-tokenizer/${name}`), join(model, name));
}
const records = JSON.parse(readFileSync(shared("alpaca-52k/alpaca_data.json"), "utf8")).slice(0, 300);
const data = join(folder, "data.json");
writeFileSync(data, JSON.stringify(records));

/** Seconds until the first step starts. */
async function start(round) {
  const settings = {
    model,
    data,
    out: join(folder, `run-${round}`),
    steps: 1,
    "val-fraction": 0,
    "log-level": "debug",
  };
  const flags = Object.entries({ ...settings, workers: options.workers }).flatMap(([key, value]) => [
    `--${key}`,
    String(value),
  ]);
  const program = fileURLToPath(new URL("../packages/zerogate/dist/bin.js", import.meta.url));
  const begin = performance.now();
  const child = spawn(process.execPath, [program, "train", ...flags, ...more], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, XDG_CACHE_HOME: folder },
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let ready = 0;
  let seconds;
  const told = [];
  for await (const line of createInterface({ input: child.stderr })) {
    told.push(line);
    if (/worker \d+ is ready/.test(line) && ++ready === Number(options.workers)) {
      seconds = (performance.now() - begin) / 1000;
      child.kill("SIGKILL");
    }
  }
  await ended;
  if (seconds === undefined) throw new Error(`zerogate train ended by itself:\n${told.join("\n")}`);
  return seconds;
}

try {
  await sleep(SETTLED_MS);
  const first = await start("first");
  const times = [];
  for (let round = 0; round < Number(options.rounds); round++) times.push(await start(round));
  const worst = Math.max(...times);
  const verdict = worst <= AIM_SECONDS ? "met" : "NOT met";
  console.log(
    `to the first step ${median(times).toFixed(2)} s (worst of ${times.length} ${worst.toFixed(2)}); with nothing cached ` +
      `${first.toFixed(2)} s; aim ${AIM_SECONDS} s, ${verdict}`,
  );
  console.log(JSON.stringify({ bench: "start", machine: cpus()[0]?.model, ...options, first, times }));
} finally {
  rmSync(folder, { recursive: true });
}
