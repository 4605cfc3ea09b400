/** `zerogate cluster check` and `cluster init`, and what the latter wrote, run. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { openMpi, runJob, zerogateFile } from "../support/mpi.ts";
import { adapterHash, base, tinyRun } from "../support/world.ts";

const folder = testFolder();
const reason = openMpi ? "" : " (skipped: no mpirun of Open MPI on this machine)";
const init = (launcher: string, ...more: string[]) =>
  zerogate(["cluster", "init", launcher, "--config", "run.json", "--run", "runs/first", ...more], { cwd: folder });

test("cluster init writes programs that a shell can read, and never over an existing file", async () => {
  const { code, stdout } = await init("slurm", "--hosts", "5", "--out", "slurm");
  expect(code).toBe(0);
  const path = join(folder, "slurm", "train.sbatch");
  expect(stdout).toBe(`wrote ${path}\nNext:\n  sbatch ${path}\n`);
  const text = readFileSync(path, "utf8");
  expect(text).toContain("#SBATCH --nodes=5\n");
  expect(text).toContain(`RUN='${join(folder, "runs/first")}'`);
  execFileSync("bash", ["-n", path]);
  expect(statSync(path).mode & 0o111).not.toBe(0);
  writeFileSync(path, "mine");
  const again = await init("slurm", "--out", "slurm");
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining(`${path} is there already`) });
  expect(readFileSync(path, "utf8")).toBe("mine");
});

test("cluster init refuses a launcher that it does not know, and an invalid number of hosts", async () => {
  const { code, stderr } = await init("pbs", "--hosts", "0");
  expect(code).toBe(2);
  expect(stderr).toContain('"pbs" is no launcher: use mpirun, slurm, kubernetes');
  expect(stderr).toContain('--hosts is "0"');
});

test("examples/cluster holds what cluster init writes", async () => {
  const args = ["--config", "/shared/run.yaml", "--run", "/shared/runs/first", "--hosts", "4", "--out", "written"];
  for (const [launcher = "", ...files] of [
    ["mpirun", "hosts", "train.sh"],
    ["slurm", "train.sbatch"],
    ["kubernetes", "mpijob.yaml"],
  ]) {
    expect(await zerogate(["cluster", "init", launcher, ...args], { cwd: folder })).toMatchObject({ code: 0 });
    for (const file of files) {
      const example = new URL(`../../examples/cluster/${file}`, import.meta.url);
      expect(readFileSync(join(folder, "written", file), "utf8")).toBe(readFileSync(example, "utf8"));
    }
  }
});

test.skipIf(!openMpi)(`cluster check says hosts, versions, the time of a sum and what is wrong${reason}`, async () => {
  const check = [process.execPath, zerogateFile, "cluster", "check", "--json"];
  const args = ["--oversubscribe", "--bind-to", "none", "-np", "2", ...check];
  const { code, output } = await runJob({ command: openMpi ?? "", args, cwd: folder });
  const line = output.split("\n").find((text) => text.startsWith("{")) ?? "";
  expect(code, output).toBe(1); // because two ranks share this host
  const found = JSON.parse(line) as { hosts: unknown[]; sum: { bytes: number }; problems: string[] };
  expect(found.hosts).toHaveLength(2);
  expect(found.sum.bytes).toBe(9_838_080);
  expect(found.problems).toContainEqual(expect.stringMatching(/^2 ranks share /));
});

test.skipIf(!openMpi)(
  `cluster check names a launcher that leaves a rank fewer cores than workers${reason}`,
  async () => {
    const allowed = availableParallelism();
    const check = [process.execPath, zerogateFile, "cluster", "check"];
    const args = ["-np", "1", "--bind-to", "none", ...check, "--workers", String(allowed + 1)];
    const { code, output } = await runJob({ command: openMpi ?? "", args, cwd: folder });
    expect(code, output).toBe(1);
    const pinned = `no  rank 0 may use ${allowed} of \\d+ cores of \\S+ for ${allowed + 1} workers: launch with --bind-to none`;
    expect(output).toMatch(new RegExp(pinned));
  },
);

describe.skipIf(!openMpi)(`train.sh${reason}`, () => {
  /**
   * Runs the script that `cluster init` has written; `onStep` is called early in it. `grace` is how many seconds ranks have to end
   * after a signal, which the launcher waits out.
   */
  const launch = async (
    [name, grace]: readonly [string, string],
    steps: number,
    onStep: (rank: number, script: number) => void,
  ) => {
    const out = join(folder, "runs", name);
    const keys = { model: base, data: ["data.json"], validationData: ["held.json"], seed: 7, steps };
    const rest = {
      compute: "f32",
      batchSize: 8,
      maxLength: 128,
      cellTokens: 128,
      samples: 0,
      workers: 1,
      saveEvery: 1,
    };
    writeFileSync(join(folder, "run.yaml"), JSON.stringify({ ...keys, ...rest }));
    const place = ["--run", out, "--out", name, "--hosts", "1"];
    const made = await zerogate(["cluster", "init", "mpirun", "--config", "run.yaml", ...place], { cwd: folder });
    expect(made).toMatchObject({ code: 0 });
    mkdirSync(join(folder, "runs"), { recursive: true });
    writeFileSync(join(folder, name, "hosts"), "localhost slots=1\n");
    let isDone = false;
    const outcome = await runJob({
      command: join(folder, name, "train.sh"),
      args: [],
      cwd: folder,
      env: { ZEROGATE: `${process.execPath} ${zerogateFile}`, TRIES: "3", PAUSE: "0", GRACE: grace },
      onLine(line, ranks, script) {
        if (isDone || !/^step [1-9]/.test(line)) return;
        isDone = true;
        onStep(ranks().get(0) ?? 0, script);
      },
    });
    expect(isDone, outcome.output).toBe(true);
    return { ...outcome, out };
  };
  const tries = (output: string) =>
    output.match(/try \d of 3 ended with \d+, going on from the last checkpoint/g) ?? [];

  test("goes on to the same bits after a rank was killed", async () => {
    expect(
      await zerogate(["train", ...tinyRun(folder), "--steps", "12", "--out", "whole"], { cwd: folder }),
    ).toMatchObject({ code: 0 });
    const { code, output, out } = await launch(["killed", "0"], 12, (rank) => process.kill(rank, "SIGKILL"));
    expect(code, output).toBe(0);
    expect(tries(output)).toHaveLength(1);
    expect(adapterHash(out)).toBe(adapterHash(join(folder, "whole")));
  });

  test("is stopped by SIGTERM: the run is saved, and not tried again", async () => {
    const { code, output, out } = await launch(["ended", "2"], 3000, (_, script) => process.kill(script, "SIGTERM"));
    expect(code, output).not.toBe(0);
    expect(output).toContain("everything is saved");
    expect(tries(output)).toHaveLength(0);
    expect(existsSync(join(out, "adapter"))).toBe(false);
  });

  test("gives up after that number of tries", async () => {
    const held = join(folder, "killer.sh");
    writeFileSync(held, "#!/bin/sh\nkill -9 $$\n", { mode: 0o755 });
    const script = join(folder, "killed", "train.sh");
    const env = { ZEROGATE: held, TRIES: "2", PAUSE: "0", GRACE: "0" };
    const { code, output } = await runJob({ command: script, args: [], cwd: folder, env });
    expect(code, output).not.toBe(0);
    expect(output.match(/try \d of 2 ended with /g)).toHaveLength(2);
  });
});
