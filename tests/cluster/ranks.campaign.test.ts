/** Several ranks on this machine train the bits of one process, through losses and restarts. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { type Job, type JobOutcome, openMpi, runJob, zerogateFile } from "../support/mpi.ts";
import { adapterHash, stepLosses, tinyRun, validationLosses } from "../support/world.ts";

const folder = testFolder();
/** Of 40 steps, so that what happens early in a run finds it in the middle. */
const flags = tinyRun(folder, { "--report-answers": "2", "--steps": "40" });
const run = (out: string) => join(folder, out);
const outcome = (out: string) => ({
  adapter: adapterHash(run(out)),
  steps: stepLosses(run(out)),
  validations: validationLosses(run(out)),
});

/** Checkpoints of a run, but for that of its start. */
const saves = (out: string): string[] => {
  const checkpoints = join(run(out), "checkpoints");
  return existsSync(checkpoints) ? readdirSync(checkpoints).filter((name) => /^step-[1-9]/.test(name)) : [];
};

/** Options of mpirun for ranks that share this machine. */
const here = ["--oversubscribe", "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", "1"];

type Watch = Pick<Job, "onLine" | "env">;

const mpirun = (args: readonly string[], watch: Watch = {}): Promise<JobOutcome> =>
  runJob({ command: openMpi ?? "", args: [...here, ...args], cwd: folder, ...watch });

const zerogateOn = (ranks: number, args: readonly string[], watch?: Watch) =>
  mpirun(["-np", String(ranks), process.execPath, zerogateFile, ...args], watch);

const train = (out: string, ranks: number, workers: number, more: readonly string[] = [], watch?: Watch) =>
  zerogateOn(ranks, ["train", ...flags, "--out", out, "--workers", String(workers), "--json", ...more], watch);

const resume = (out: string, ranks: number) => zerogateOn(ranks, ["resume", out, "--workers", "1", "--json"]);

/** Sends `signal` to a rank as soon as the line of step `step`, or a later one, is seen and `isReady`. */
const at = (step: number, rank: number | "launcher", signal: NodeJS.Signals, isReady = () => true): Watch => {
  let isSent = false;
  return {
    onLine(line, ranks, launcher) {
      const seen = Number(/"event":"step","step":(\d+),/.exec(line)?.[1]);
      if (isSent || !(seen >= step) || !isReady()) return;
      isSent = true;
      const pid = rank === "launcher" ? launcher : ranks().get(rank);
      if (pid === undefined) throw new Error(`rank ${rank} is not there`);
      process.kill(pid, signal);
    },
  };
};

const missing = openMpi ? "" : " (skipped: no mpirun of Open MPI on this machine)";
describe.skipIf(!openMpi)(`ranks of Open MPI on one host${missing}`, () => {
  let whole: ReturnType<typeof outcome>;
  beforeAll(async () => {
    const done = await zerogate(["train", ...flags, "--out", "whole", "--workers", "2"], { cwd: folder });
    expect(done).toMatchObject({ code: 0 });
    whole = outcome("whole");
  });

  test.each([
    [1, 2],
    [2, 1],
    [2, 2],
    [3, 1],
  ])("%i ranks of %i workers train the bits of one process", async (ranks, workers) => {
    const out = `ranks-${ranks}-${workers}`;
    const { code, output } = await train(out, ranks, workers);
    expect(code, output).toBe(0);
    expect(outcome(out)).toEqual(whole);
    expect(output.split("\n").filter((line) => line.includes('"event":"done"'))).toHaveLength(1);
    const receipts = ["whole", out].map((name) => readFileSync(join(run(name), "receipt.jsonl"), "utf8"));
    expect(receipts[1]).toBe(receipts[0]);
  });

  test("fewer cores than workers are reported for each rank, and change no bit", async () => {
    const allowed = availableParallelism();
    const { code, output } = await train("pinned", 2, allowed + 1);
    expect(code, output).toBe(0);
    for (const rank of [0, 1]) {
      const told = `rank ${rank} may use ${allowed} of \\d+ cores of \\S+ for ${allowed + 1} workers: launch with --bind-to none`;
      expect(output.match(new RegExp(told, "g"))).toHaveLength(1);
    }
    expect(outcome("pinned")).toEqual(whole);
  });

  test.each([
    [1, 3],
    [0, 1],
  ])("rank %s is killed: the launcher ends, and %s ranks resume to the same bits", async (lost, later) => {
    const out = `killed-${lost}`;
    const isSaved = () => saves(out).length > 0;
    const { code, output } = await train(out, 2, 1, ["--save-every", "1"], at(3, lost, "SIGKILL", isSaved));
    expect(code, output).not.toBe(0);
    expect(saves(out)).not.toEqual([]);
    expect(existsSync(join(run(out), "adapter"))).toBe(false);
    const resumed = await resume(out, later);
    expect(resumed.code, resumed.output).toBe(0);
    expect(outcome(out)).toEqual(whole);
  });

  test("SIGTERM to one rank ends all after the same step, saved, and a single process resumes to the same bits", async () => {
    const { code, output } = await train("stopped", 2, 1, [], at(2, 1, "SIGTERM"));
    expect(code, output).not.toBe(0);
    expect(output).toMatch(/"event":"interrupted","steps":[1-3]?\d[,}]/);
    expect(await zerogate(["resume", "stopped"], { cwd: folder })).toMatchObject({ code: 0 });
    expect(outcome("stopped")).toEqual(whole);
  });

  test.each(["launcher", 1] as const)("SIGUSR1 to %s makes a checkpoint", async (whom) => {
    const out = `saved-${whom}`;
    const { code, output } = await train(out, 2, 1, ["--keep-checkpoints", "9"], at(2, whom, "SIGUSR1"));
    expect(code, output).toBe(0);
    const saved = saves(out).filter((name) => Number(name.slice("step-".length)) % 8 > 0); // an epoch has 8 steps
    expect(saved.length).toBeGreaterThan(0); // mpirun sends it to all ranks: not all may hear it in the same step
    expect(saved.length).toBeLessThan(3);
  });

  test("a process that nobody launched as a job does not load koffi", async () => {
    const preload = join(folder, "addons.mjs");
    const addons = join(folder, "addons");
    const source = `import { appendFileSync } from "node:fs";
      const { dlopen } = process;
      process.dlopen = (module, file, ...more) => {
        appendFileSync(${JSON.stringify(addons)}, file + "\\n");
        return dlopen(module, file, ...more);
      };`;
    writeFileSync(preload, source);
    const env = { NODE_OPTIONS: `--import=${preload}` };
    const alone = ["train", ...flags, "--workers", "1", "--steps", "1", "--out", "addons-alone"];
    expect(await zerogate(alone, { cwd: folder, env })).toMatchObject({ code: 0 });
    expect(readFileSync(addons, "utf8")).toMatch(/\.node$/m);
    expect(readFileSync(addons, "utf8")).not.toContain("koffi");
    expect(await train("addons-job", 1, 1, ["--steps", "1"], { env })).toMatchObject({ code: 0 });
    expect(readFileSync(addons, "utf8")).toContain("koffi");
  });

  test("a rank that sleeps is named within its limit, and the state before that step is kept", async () => {
    const { code, output, seconds } = await train("asleep", 2, 1, ["--host-timeout", "3"], at(3, 1, "SIGSTOP"));
    expect(code).not.toBe(0);
    expect(output).toMatch(
      /rank 0 of 2: Cannot go on at step \d: after 3 s these have not come: rank 1 \(last seen at /,
    );
    expect(seconds).toBeLessThan(40);
    const resumed = await resume("asleep", 2);
    expect(resumed.code, resumed.output).toBe(0);
    expect(outcome("asleep")).toEqual(whole);
  });

  test("bad numbers on one rank are skipped by all, as by one process", async () => {
    const more = ["--lr", "1e30", "--clip-norm", "0", "--schedule", "constant", "--warmup-steps", "0"];
    const one = [...flags, ...more, "--out", "wild-1", "--workers", "1"];
    const alone = await zerogate(["train", ...one], { cwd: folder });
    expect(alone.code).toBe(1);
    const { code, output } = await train("wild-2", 2, 1, more);
    expect(code).toBe(1);
    const reason = /Cannot go on: Step \d+ has numbers that cannot be used: [^\n]*/.exec(alone.stderr)?.[0];
    expect(reason).toBeDefined();
    expect(output).toContain(reason);
    expect(stepLosses(run("wild-2"))).toEqual(stepLosses(run("wild-1")));
  });
});
