/** The written sbatch file on a cluster of three: a node is cut off, Slurm requeues the job, and it ends with the same bits. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { type Hosts, openHosts } from "../support/hosts.ts";
import { zerogateFile } from "../support/mpi.ts";
import { noSlurm, openSlurm, type Slurm } from "../support/slurm.ts";
import { adapterHash, base, tinyRun } from "../support/world.ts";

const folder = testFolder();
let hosts: Hosts | undefined;
let slurm: Slurm | undefined;
afterAll(() => {
  slurm?.close();
  hosts?.close();
});

async function until(condition: () => boolean, what: () => string, ms = 90_000): Promise<void> {
  const begin = performance.now();
  while (!condition()) {
    if (performance.now() - begin > ms) throw new Error(`did not happen: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

describe.skipIf(noSlurm !== undefined)(`Slurm${noSlurm === undefined ? "" : ` (skipped: ${noSlurm})`}`, () => {
  test("a node is cut off: the job is requeued, resumes on the others, and ends with the same bits", async () => {
    const steps = 120;
    const flags = [...tinyRun(folder), "--steps", String(steps)];
    expect(await zerogate(["train", ...flags, "--out", "whole"], { cwd: folder })).toMatchObject({ code: 0 });
    const out = join(folder, "run");
    const data = { model: base, data: ["data.json"], validationData: ["held.json"], seed: 7, batchSize: 8 };
    const rest = { maxLength: 128, cellTokens: 128, samples: 0, workers: 1, keepCheckpoints: 99, hostTimeout: 3 };
    const keys = { ...data, ...rest, steps, saveEvery: 5 };
    writeFileSync(join(folder, "run.yaml"), JSON.stringify(keys));
    const init = ["cluster", "init", "slurm", "--config", "run.yaml", "--run", out, "--hosts", "2"];
    expect(await zerogate(init, { cwd: folder })).toMatchObject({ code: 0 });

    mkdirSync(join(folder, "slurm"));
    hosts = openHosts(3, 177 + (process.pid % 70));
    slurm = await openSlurm(hosts, 3, join(folder, "slurm"));
    const { run } = slurm;
    const log = join(folder, "job.log");
    const text = () => (existsSync(log) ? readFileSync(log, "utf8") : "");
    const variables = {
      ZEROGATE: `${process.execPath} ${zerogateFile}`,
      PAUSE: "1",
      XDG_CACHE_HOME: join(folder, "cache"),
      OMPI_MCA_btl_tcp_if_include: "eth0",
    };
    const exported = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const options = [`--output=${log}`, `--chdir=${folder}`, `--export=ALL,${exported.join(",")}`];
    const submit = () => run("sbatch", "--parsable", ...options, join(folder, "train.sbatch")).trim();
    const job = submit();
    const metrics = join(out, "metrics.jsonl");
    const written = () => (existsSync(metrics) ? readFileSync(metrics, "utf8").split('{"step":').length - 1 : 0);
    await until(() => written() >= 7, text);
    run("scancel", "--signal=USR1", job);
    const saved = () => readdirSync(join(out, "checkpoints")).map((name) => Number(name.slice("step-".length)));
    await until(() => saved().some((step) => step % keys.saveEvery !== 0), text);
    const [second = ""] = run("scontrol", "show", "hostnames", run("squeue", "-h", "-j", job, "-o", "%N").trim())
      .split("\n")
      .slice(1);
    hosts.cut(Number(second.at(-1)));
    const field = (name: string) =>
      new RegExp(`\\b${name}=(\\S+)`).exec(run("scontrol", "show", "job", job))?.[1] ?? "";
    await until(
      () => field("Restarts") === "1",
      () => run("scontrol", "show", "job", job) + text(),
    );
    await until(
      () => {
        // Slurm waits two minutes before it starts a requeued job again; an administrator need not.
        if (field("Reason") === "BeginTime") run("scontrol", "update", `JobId=${job}`, "StartTime=now");
        return field("JobState") === "COMPLETED";
      },
      () => run("scontrol", "show", "job", job) + text(),
    );
    expect(adapterHash(out)).toBe(adapterHash(join(folder, "whole")));

    // scancel's TERM goes to the ranks: the next job is saved, ends, and is not tried again.
    rmSync(out, { recursive: true });
    writeFileSync(join(folder, "run.yaml"), JSON.stringify({ ...keys, steps: 100_000 }));
    const ended = submit();
    await until(() => written() >= 3, text);
    run("scancel", "--signal=TERM", ended);
    await until(() => text().includes("everything is saved"), text);
    const state = () => run("squeue", "-h", "-j", ended, "-o", "%T").trim();
    await until(() => state() === "", text);
    expect(text().split("everything is saved")[1]).not.toContain("going on from the last checkpoint");
    expect(existsSync(join(out, "adapter"))).toBe(false);
  });
});
