/** What cannot train together is refused: each a message that names the rank, an exit code, and nothing written. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { mpich, openMpi, runJob, zerogateFile } from "../support/mpi.ts";
import { base, records, tinyRun } from "../support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const run = (out: string) => join(folder, out);
/** The launcher waits out this timeout, though all ranks have ended. */
const here = ["--oversubscribe", "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", "0"];

/** Two ranks; the second gets its own arguments and environment. */
const trainApart = (second: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const rank = (own: readonly string[], variables: readonly string[] = []) => {
    const command = ["env", ...variables, process.execPath, zerogateFile, "train", ...own];
    return ["-np", "1", ...command, "--out", "apart", "--workers", "1"];
  };
  const own = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return runJob({ command: openMpi ?? "", args: [...here, ...rank(flags), ":", ...rank(second, own)], cwd: folder });
};

test("a job whose launcher has another MPI is refused: each rank would train alone", async () => {
  // The variables that mpirun of Open MPI sets for its ranks, without an mpirun.
  const env = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2", ZEROGATE_MPI: "libnowhere.so.40" };
  const alone = await zerogate(["train", ...flags, "--out", "alone"], { cwd: folder, env });
  expect(alone.code).toBe(2);
  expect(alone.stderr).toMatch(/^Cannot load MPI:\n {2}- libnowhere\.so\.40: .*\n {2}- install Open MPI/);
  expect(existsSync(run("alone"))).toBe(false);
});

const missing = openMpi ? "" : " (skipped: no mpirun of Open MPI on this machine)";
describe.skipIf(!openMpi)(`two ranks${missing}`, () => {
  // Of a launcher that is not there, or that speaks another language than the library (srun without --mpi=pmix).
  test.each([
    ["a PMI launcher", { PMI_RANK: "1", PMI_SIZE: "2" }, "does not belong to this launcher"],
    [
      "Open MPI's mpirun",
      { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2" },
      "name the right one with ZEROGATE_MPI",
    ],
    ["Slurm's srun", { SLURM_STEP_ID: "0", SLURM_PROCID: "1", SLURM_STEP_NUM_TASKS: "2" }, "srun --mpi=pmix"],
  ])("variables of %s, under which the library finds itself alone", async (by, variables, advice) => {
    const env = { ...variables, ZEROGATE_MPI: "libmpi.so.40", OMPI_ALLOW_RUN_AS_ROOT: "1" };
    const alone = await zerogate(["train", ...flags, "--out", "alone"], { cwd: folder, env });
    expect(alone.code).toBe(2);
    expect(alone.stderr).toMatch(new RegExp(`Cannot use MPI: ${by} says rank 1 of 2, Open MPI .* says rank 0 of 1: `));
    expect(alone.stderr).toContain(advice);
    expect(existsSync(run("alone"))).toBe(false);
  });

  const noMpich = mpich ? "" : " (skipped: no mpirun of MPICH on this machine)";
  test.skipIf(!mpich).each([
    ["MPICH", "Open MPI's mpirun", openMpi, here, "libmpich.so.12"],
    ["Open MPI", "a PMI launcher", mpich, [], "libmpi.so.40"],
  ])(
    `the library of %s under another launcher is refused by every rank${noMpich}`,
    async (...[, by, mpirun, options, library]) => {
      const ranks = ["-np", "2", process.execPath, zerogateFile, "train", ...flags, "--out", "other"];
      const env = { ZEROGATE_MPI: library };
      const { code, output } = await runJob({ command: mpirun ?? "", args: [...options, ...ranks], cwd: folder, env });
      expect(code).toBe(2);
      for (const rank of [0, 1])
        expect(output).toMatch(new RegExp(`${by} says rank ${rank} of 2, .* says rank 0 of 1: `));
      expect(existsSync(run("other"))).toBe(false);
    },
  );

  test("another version of zerogate on one rank", async () => {
    const versionFile = new URL("../../packages/run-config/dist/version.js", import.meta.url);
    const preload = join(folder, "version.mjs");
    const source = `import { versions } from ${JSON.stringify(versionFile.href)}; versions.zerogate = "9.9.9";`;
    writeFileSync(preload, source);
    const { code, output } = await trainApart(flags, { NODE_OPTIONS: `--import=${preload}` });
    expect(code).toBe(2);
    expect(output).toMatch(/Cannot train together: zerogate version of rank 1 is 9\.9\.9, of rank 0 \d/);
    expect(existsSync(run("apart"))).toBe(false);
  });

  test("data that differ on one rank are named once, and nothing is written", async () => {
    writeFileSync(join(folder, "other.json"), JSON.stringify(records("train.json", 63)));
    const { code, output } = await trainApart(flags.map((flag) => (flag === "data.json" ? "other.json" : flag)));
    expect(code).toBe(2);
    expect(output.match(/Cannot train together/g)).toHaveLength(1);
    expect(output).toMatch(/data of rank 1 is [0-9a-f]{64}\S*, of rank 0 [0-9a-f]{64}/);
    expect(existsSync(run("apart"))).toBe(false);
  });

  test("a base of the same shapes with another number in it on one rank is named", async () => {
    const other = join(folder, "other-base");
    cpSync(base, other, { recursive: true });
    const file = join(other, "model.safetensors");
    const bytes = readFileSync(file);
    bytes[bytes.length - 2] = (bytes[bytes.length - 2] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { code, output } = await trainApart(flags.map((flag) => (flag === base ? other : flag)));
    expect(code).toBe(2);
    expect(output).toMatch(/base of rank 1 is [0-9a-f]{64}\S*, of rank 0 [0-9a-f]{64}/);
    expect(existsSync(run("apart"))).toBe(false);
  });

  test("a config that differs on one rank is named", async () => {
    const { code, output } = await trainApart([...flags, "--lr", "0.1"]);
    expect(code).toBe(2);
    expect(output).toMatch(/Cannot train together: config of rank 1 is [0-9a-f]{64}, of rank 0/);
    expect(existsSync(run("apart"))).toBe(false);
  });

  test("what only one rank lacks ends all with its message", async () => {
    const { code, output } = await trainApart(flags.map((flag) => (flag === "data.json" ? "nowhere.json" : flag)));
    expect(code).toBe(2);
    expect(output.match(/rank 1 of 2: Cannot .*nowhere\.json/g)).toHaveLength(1);
    expect(existsSync(run("apart"))).toBe(false);
  });

  test("parameters that come apart, because one machine computes otherwise, are named before a step is taken", async () => {
    const preload = join(folder, "cosine.mjs");
    writeFileSync(preload, "const { cos } = Math; Math.cos = (x) => cos(x) * (1 - 1e-6);"); // of the first prompts
    const { code, output } = await trainApart(flags, { NODE_OPTIONS: `--import=${preload}` });
    expect(code, output).toBe(1);
    expect(output.match(/Cannot take step 1: the parameters of rank 1 are not those of rank 0/g)).toHaveLength(1);
    expect(existsSync(join(run("apart"), "adapter"))).toBe(false);
  });
});
