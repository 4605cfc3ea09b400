/**
 * Does a long run stay as it is? Trains on two workers for some minutes, with validations and checkpoints all the time, and
 * samples the process from outside: resident memory and open files, with their slopes after a warm-up. Linux, needs a build.
 *
 *   node bench/soak.mjs [minutes=30] [flags of zerogate train …]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const SAMPLE_MS = 1000;
const [minutes = "30", ...more] = process.argv.slice(2);
const path = (file) => fileURLToPath(new URL(`../packages/trainer/${file}`, import.meta.url));
const out = mkdtempSync(join(tmpdir(), "zerogate-soak-"));
const settings = {
  model: path("world/base"),
  data: path("world/train.json"),
  "validation-data": path("world/heldout.json"),
  out: join(out, "run"),
  steps: 100_000_000,
  "batch-size": 16,
  workers: 2,
  "eval-every": 200,
  "save-every": 50,
  "log-level": "error",
};
const flags = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);
const child = spawn(process.execPath, [path("dist/bin.js"), "train", "--json", ...flags, ...more], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...process.env, XDG_CACHE_HOME: out },
});
let steps = 0;
createInterface({ input: child.stdout }).on("line", () => steps++);
const ended = new Promise((resolve) => child.once("close", resolve));

const samples = [];
const begin = performance.now();
const end = begin + 60_000 * Number(minutes);
while (performance.now() < end && child.exitCode === null) {
  await sleep(SAMPLE_MS);
  if (steps === 0) continue;
  const status = readFileSync(`/proc/${child.pid}/status`, "latin1");
  const mib = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  const files = readdirSync(`/proc/${child.pid}/fd`).length;
  samples.push({ seconds: (performance.now() - begin) / 1000, mib, files });
}
child.kill("SIGINT");
const code = await ended;
rmSync(out, { recursive: true, force: true });
if (code !== 130) throw new Error(`Cannot judge the run: it ended with exit code ${code}, 130 was asked for`);

/** Least squares, with the slope's standard error; noise of memory is not independent, so that is a lower bound. */
function slope(points) {
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const [x0, y0] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sxx = points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
  const perUnit = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0) / sxx;
  const residual = points.reduce((sum, [x, y]) => sum + (y - y0 - perUnit * (x - x0)) ** 2, 0);
  return { perUnit, error: Math.sqrt(residual / (points.length - 2) / sxx) };
}

const warm = samples.slice(Math.floor(samples.length / 3));
const [memory, files] = [
  slope(warm.map(({ seconds, mib }) => [seconds / 3600, mib])),
  slope(warm.map((sample) => [sample.seconds / 3600, sample.files])),
];
const half = (list) => list.slice(0, list.length >> 1);
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const mib = warm.map((sample) => sample.mib);
console.log(
  `${steps} steps in ${minutes} minutes; after a third of them: resident ${median(half(mib)).toFixed(1)} MiB (median of the ` +
    `first half), ${median(mib.slice(mib.length >> 1)).toFixed(1)} MiB (second), slope ${memory.perUnit.toFixed(1)} ± ` +
    `${memory.error.toFixed(1)} MiB an hour; open files ${Math.min(...warm.map((s) => s.files))} to ` +
    `${Math.max(...warm.map((s) => s.files))}, slope ${files.perUnit.toFixed(2)} ± ${files.error.toFixed(2)} an hour`,
);
console.log(JSON.stringify({ bench: "soak", minutes: Number(minutes), steps, memory, files, node: process.version }));
