/**
 * How long a killed run stands still: `zerogate train` on the quickstart's model and settings is ended by SIGKILL at a random
 * moment, `zerogate resume` is started at once. Measured from the kill to the first step that the new process has committed
 * (its line on stdout comes after parameters, metrics and receipt), and to the first one that the killed process had not
 * done yet: what came after the last checkpoint is done again. Needs a build.
 *
 *   node bench/resume.mjs [rounds=5] [flags of zerogate train …]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const AIM_MS = 3000;
const SAVE_EVERY = 20;
const [rounds = "5", ...more] = process.argv.slice(2);
const path = (file) => fileURLToPath(new URL(`../packages/trainer/${file}`, import.meta.url));

/** Starts the command; `onStep` hears of every step that it has committed. */
function zerogate(args, cache, onStep) {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("../packages/zerogate/dist/bin.js", import.meta.url)), ...args],
    {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, XDG_CACHE_HOME: cache },
    },
  );
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { event, step } = JSON.parse(line);
    if (event === "step") onStep(step);
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  return { ended, kill: () => child.kill("SIGKILL") };
}

/** Resolves when `reached` says so of a step, with the time; rejects when the process ends before. */
async function until(args, cache, reached, meanwhile = () => {}) {
  let found;
  const hit = new Promise((resolve) => {
    found = resolve;
  });
  const command = zerogate(args, cache, (step) => {
    meanwhile(step);
    if (reached(step)) found(performance.now());
  });
  const at = await Promise.race([hit, command.ended]);
  if (typeof at !== "number" || at < 1000) throw new Error(`zerogate ${args[0]} ended by itself: ${at}`);
  return { at, ...command };
}

const times = { first: [], next: [] };
for (let round = 0; round < Number(rounds); round++) {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-resume-"));
  const run = join(folder, "run");
  const settings = { config: path("world/quickstart.yaml"), model: path("world/base"), out: run };
  const changes = { steps: 1_000_000, "save-every": SAVE_EVERY, "log-level": "error" };
  const flags = Object.entries({ ...settings, ...changes }).flatMap(([key, value]) => [`--${key}`, String(value)]);
  let done = 0;
  const killed = await until(
    ["train", "--json", ...flags, ...more],
    folder,
    (step) => step > 2 * SAVE_EVERY,
    (step) => {
      done = step;
    },
  );
  await sleep(1000 * Math.random());
  const begin = performance.now();
  killed.kill();
  await killed.ended;
  let first;
  const resumed = await until(
    ["resume", run, "--json"],
    folder,
    (step) => step > done,
    () => {
      first ??= performance.now();
    },
  );
  times.first.push(first - begin);
  times.next.push(resumed.at - begin);
  resumed.kill();
  await resumed.ended;
  rmSync(folder, { recursive: true });
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const summary = (list) => ({ medianMs: Math.round(median(list)), worstMs: Math.round(Math.max(...list)) });
const [first, next] = [summary(times.first), summary(times.next)];
const shown = ({ medianMs, worstMs }) => `${medianMs} ms (worst ${worstMs})`;
console.log(
  `${rounds} times from SIGKILL to the first committed step ${shown(first)}, to the first new one ${shown(next)}; ` +
    `aim ${AIM_MS} ms, ${first.worstMs <= AIM_MS ? "met" : "NOT met"}`,
);
console.log(JSON.stringify({ bench: "resume", rounds: Number(rounds), first, next, node: process.version }));
