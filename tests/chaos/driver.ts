/**
 * One training run under seeded cycles of faults: each cycle starts or resumes it with some number of workers, perhaps breaks
 * one of them, and ends the process at a point that the seed decides.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { randomBits } from "@zerogate/core/training";
import { type Call, type Outcome, zerogate } from "../support/cli.ts";

/** How a cycle ends: by SIGKILL at a place in the code, or by a signal at some moment. */
type End =
  | { readonly file: string; readonly how: "before" | "after" | "half"; readonly upTo: number }
  | { readonly point: string; readonly how: "before" | "after"; readonly upTo: number }
  | { readonly signal: NodeJS.Signals; readonly during: "start" | "steps" };

const file = (kind: string, how: "before" | "after" | "half", upTo: number): End => ({ file: kind, how, upTo });
const point = (name: string, how: "before" | "after", upTo: number): End => ({ point: name, how, upTo });

/** `upTo`: the n-th time is drawn from 1 … upTo; with a checkpoint every other step all of them come soon. */
const ends: readonly End[] = [
  file("create", "before", 12),
  file("create", "after", 12),
  file("write", "before", 40),
  file("write", "half", 40),
  file("write", "after", 40),
  file("sync", "before", 12),
  file("sync", "after", 12),
  file("rename", "before", 4),
  file("rename", "after", 4),
  file("rm", "before", 2),
  file("rm", "after", 2),
  file("mkdir", "after", 2),
  file("link", "after", 1),
  point("reduce", "before", 5),
  point("reduce", "after", 5),
  point("commit", "before", 5),
  point("commit", "after", 5),
  point("evaluate", "before", 2),
  point("evaluate", "after", 2),
  { signal: "SIGKILL", during: "start" },
  { signal: "SIGKILL", during: "steps" },
  { signal: "SIGKILL", during: "steps" },
  { signal: "SIGINT", during: "steps" },
  { signal: "SIGTERM", during: "steps" },
  { signal: "SIGSTOP", during: "steps" },
];

const threadFaults = ["throw", "async-throw", "exit", "promise", "endless-loop", "out-of-memory", "terminate"];
const processFaults = ["SIGKILL", "SIGSTOP", "SIGSEGV", "exit", "endless-loop", "throw"];

/** Steps after which a cycle is killed if nothing else has ended it. */
const MAX_STEPS_A_CYCLE = 5;

export interface ChaosOptions {
  readonly seed: number;
  readonly cycles: number;
  /** The run is its subfolder `run`. */
  readonly folder: string;
  /** Of `zerogate train`, all but `--out` and those of the machine. */
  readonly flags: readonly string[];
}

/** Enough steps for a run that n cycles do not finish. */
export const stepsFor = (cycles: number): number => (MAX_STEPS_A_CYCLE + 2) * cycles;

/**
 * Runs all cycles, then lets the run finish.
 * @returns how often each fault struck.
 * @throws Error if a process ends in a way that nothing asked for.
 */
export async function runChaos(options: ChaosOptions): Promise<Record<string, number>> {
  const { seed, cycles, folder } = options;
  const struck: Record<string, number> = {};
  for (let cycle = 0; cycle < cycles; cycle++) {
    const notes = join(folder, `cycle-${cycle}`);
    mkdirSync(notes);
    for (const what of await runCycle(options, drawCycle(seed, cycle), notes)) struck[what] = (struck[what] ?? 0) + 1;
  }
  const last = await start(options, ["--workers", String(1 + (seed % 3))], {});
  if (last.code !== 0) throw new Error(`Cannot finish the run of seed ${seed}: ${ending(last)}`);
  return struck;
}

interface Cycle {
  readonly workers: number;
  readonly isolate: boolean;
  /** What happens to one device meanwhile. */
  readonly device: { readonly kind: string; readonly device: number; readonly at: number } | undefined;
  readonly end: End;
  /** Which time a place in the code is struck. */
  readonly at: number;
  /** Steps, then milliseconds, after which a signal is sent. */
  readonly steps: number;
  readonly delayMs: number;
}

/** A pure function of the seed and the cycle's number. */
function drawCycle(seed: number, cycle: number): Cycle {
  const draw = (below: number, purpose: number) => randomBits(seed, cycle, purpose) % below;
  const end = dealt(ends, seed, cycle, 1);
  const workers = 1 + draw(4, 2);
  const isolate = draw(3, 3) === 0;
  const kind = dealt(isolate ? processFaults : threadFaults, seed, cycle, 4);
  return {
    workers,
    isolate,
    device: draw(3, 5) > 0 ? { kind, device: draw(workers, 6), at: 1 + draw(4, 7) } : undefined,
    end,
    at: 1 + draw("upTo" in end ? end.upTo : 1, 8),
    steps: 1 + draw(MAX_STEPS_A_CYCLE - 1, 9),
    delayMs: draw("during" in end && end.during === "start" ? 700 : 25, 10),
  };
}

/** Cards of a shuffled deck, one a cycle; when it is used up, it is shuffled again. */
function dealt<T>(deck: readonly T[], seed: number, cycle: number, purpose: number): T {
  const round = Math.floor(cycle / deck.length);
  const order = deck.map((card, i) => ({ card, key: randomBits(seed, purpose, round, i, 99) }));
  const picked = order.toSorted((a, b) => a.key - b.key)[cycle % deck.length];
  if (!picked) throw new RangeError("Cannot deal from an empty deck");
  return picked.card;
}

/** What struck. */
async function runCycle(options: ChaosOptions, cycle: Cycle, notes: string): Promise<string[]> {
  const { end, at, device, isolate, workers, steps, delayMs } = cycle;
  const note = join(notes, "strike");
  const plan = {
    root: join(options.folder, "run"),
    note,
    ...("file" in end && { file: { kind: end.file, how: end.how, at } }),
    ...("point" in end && { point: { name: end.point, how: end.how, at } }),
    ...(device && { device }),
  };
  let done = 0;
  const struck: string[] = [];
  const machine = ["--workers", String(workers), "--worker-timeout", "0.5", ...(isolate ? ["--isolate"] : [])];
  const outcome = await start(options, machine, {
    env: {
      ZEROGATE_CHAOS: JSON.stringify(plan),
      NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
    },
    onStart(send) {
      if ("signal" in end && end.during === "start") setTimeout(() => send(end.signal), delayMs);
    },
    onLine(line, send) {
      if (!line.startsWith('{"event":"step"')) return;
      done++;
      if (done === MAX_STEPS_A_CYCLE) setTimeout(() => send("SIGKILL"), delayMs);
      if ("signal" in end && end.during === "steps" && done === steps) setTimeout(() => send(end.signal), delayMs);
      if ("signal" in end && end.signal === "SIGSTOP" && done === steps)
        setTimeout(() => send("SIGCONT"), delayMs + 800);
    },
  });
  if (existsSync(note)) struck.push(readFileSync(note, "utf8"));
  else if ("signal" in end) struck.push(`${end.signal} during ${end.during}`);
  if (existsSync(join(notes, "device-fault"))) struck.push(`${isolate ? "process" : "thread"}: ${device?.kind}`);
  // 0: it was over before the fault. Anything else is a failure that no fault excuses.
  const expected: (number | null)[] = [null, 0];
  if ("signal" in end && end.signal === "SIGINT") expected.push(130);
  if ("signal" in end && end.signal === "SIGTERM") expected.push(130, 143);
  if (!expected.includes(outcome.code)) {
    throw new Error(`Cannot explain how a cycle ended (${JSON.stringify(cycle)}): ${ending(outcome)}`);
  }
  return struck;
}

/** `zerogate train` if there is no run yet, as after a crash before its config was written; else `zerogate resume`. */
function start({ folder, flags }: ChaosOptions, machine: readonly string[], call: Partial<Call>): Promise<Outcome> {
  const run = join(folder, "run");
  const isNew = !existsSync(join(run, "config.json"));
  if (isNew) rmSync(run, { recursive: true, force: true });
  const args = isNew ? ["train", ...flags, "--out", "run"] : ["resume", "run"];
  return zerogate([...args, ...machine, "--json"], { cwd: folder, ...call });
}

const ending = ({ code, stderr }: Outcome) => `exit code ${code}\n${stderr.slice(-4000)}`;
