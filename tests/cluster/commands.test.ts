/** `zerogate cluster check` and `cluster init`, and what the latter wrote, run. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { openMpi, runJob, zerogateFile } from "../support/mpi.ts";

const folder = testFolder();
const reason = openMpi ? "" : " (skipped: no mpirun of Open MPI on this machine)";
const init = (launcher: string, ...more: string[]) =>
  zerogate(["cluster", "init", launcher, "--config", "run.json", "--run", "runs/first", ...more], { cwd: folder });

test("cluster init writes programs that a shell can read, and never over a file that is there", async () => {
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

test("cluster init refuses a launcher that it does not know, and a number of hosts that is none", async () => {
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
