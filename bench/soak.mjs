/**
 * Does a long run stay as it is? Trains on two workers for some minutes, with validations and checkpoints all the time, and
 * samples the process from outside: resident memory and open files, with their slopes over the second half. Linux, needs a
 * build; ten minutes at least, or there is nothing to draw a line through.
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
const child = spawn(
  process.execPath,
  [fileURLToPath(new URL("../packages/zerogate/dist/bin.js", import.meta.url)), "train", "--json", ...flags, ...more],
  {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, XDG_CACHE_HOME: out },
  },
);
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

/**
 * Least squares. Memory goes up and down over minutes, with the collections of large heaps, so neighbouring points are
 * alike: the error of the slope is that of fewer, independent ones (a first-order autoregression's).
 */
function slope(points) {
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const [x0, y0] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sxx = points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
  const perHour = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0) / sxx;
  const rest = points.map(([x, y]) => y - y0 - perHour * (x - x0));
  const square = rest.reduce((sum, r) => sum + r * r, 0);
  const alike = square === 0 ? 0 : rest.slice(1).reduce((sum, r, i) => sum + r * rest[i], 0) / square;
  const inflation = Math.sqrt((1 + Math.max(0, alike)) / (1 - Math.max(0, alike)));
  return { perHour, error: Math.sqrt(square / (points.length - 2) / sxx) * inflation };
}

const minutesRun = new Map();
for (const sample of samples) {
  const minute = Math.floor(sample.seconds / 60);
  minutesRun.set(minute, [...(minutesRun.get(minute) ?? []), sample]);
}
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const wholeMinutes = [...minutesRun].filter(([, list]) => list.length > 30); // the last one is often a second long
const perMinute = wholeMinutes.map(([minute, list]) => {
  const mib = list.map((sample) => sample.mib);
  const files = list.map((sample) => sample.files);
  return { minute, median: median(mib), least: Math.min(...mib), files: median(files), mostFiles: Math.max(...files) };
});
// The first half is the warm-up: heaps and arenas grow to what the work needs, rarely and by steps.
const warm = perMinute.slice(perMinute.length >> 1);
const slopeOf = (what) => slope(warm.map((one) => [one.minute / 60, one[what]]));
const result = { memory: slopeOf("median"), least: slopeOf("least"), files: slopeOf("files") };
const isFlat = ({ perHour, error }) => perHour <= 2 * error;
const shown = ({ perHour, error }) => `${perHour.toFixed(1)} ± ${error.toFixed(1)}`;
const range = (list) => `${Math.min(...list).toFixed(0)} to ${Math.max(...list).toFixed(0)}`;
console.log(
  `${steps} steps in ${minutes} minutes; second half, by minutes: resident ${range(warm.map((one) => one.median))} MiB ` +
    `(medians), slope ${shown(result.memory)} MiB an hour, of the least ${shown(result.least)}; open files ` +
    `${range(warm.flatMap((one) => [one.files, one.mostFiles]))}, slope ${shown(result.files)} an hour; ` +
    `${Object.values(result).every(isFlat) ? "flat" : "NOT flat"} (slopes of at most twice their standard error)`,
);
console.log(
  JSON.stringify({ bench: "soak", minutes: Number(minutes), steps, ...result, perMinute, node: process.version }),
);
