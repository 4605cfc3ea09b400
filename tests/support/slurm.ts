/** A Slurm cluster of hosts in network namespaces: one controller on the first host, one slurmd a host, an own munged. Needs root. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Hosts, noHosts } from "./hosts.ts";
import { openMpi } from "./mpi.ts";

/** Why there can be no cluster here; undefined if there can. */
export const noSlurm: string | undefined = reason();

export interface Slurm {
  /** Runs a command of Slurm on the first host and returns its stdout. */
  run(command: string, ...args: string[]): string;
  close(): void;
}

const CPUS = 16;

/** Resolves when all hosts are idle. @param folder for its files, removed with the cluster by its maker */
export async function openSlurm(hosts: Hosts, count: number, folder: string): Promise<Slurm> {
  const path = (name: string) => join(folder, name);
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const names = numbers.map((host) => hosts.name(host));
  mkdirSync(path("state"));
  for (const name of names) mkdirSync(path(`tmp.${name}`));
  const socket = path("munge.socket");
  writeFileSync(path("munge.key"), "k".repeat(128), { mode: 0o600 });
  writeFileSync(
    path("cgroup.conf"),
    `CgroupPlugin=cgroup/v1\nCgroupAutomount=yes\nCgroupMountpoint=${path("cgroup")}\n`,
  );
  const nodes = numbers.map(
    (host) => `NodeName=${hosts.name(host)} NodeAddr=${hosts.address(host)} CPUs=${CPUS} State=UNKNOWN`,
  );
  const lines = [
    "ClusterName=zerogate",
    `SlurmctldHost=${hosts.name(1)}(${hosts.address(1)})`,
    "SlurmUser=root",
    "SlurmdUser=root",
    "AuthType=auth/munge",
    "CredType=cred/munge",
    `AuthInfo=socket=${socket}`,
    `StateSaveLocation=${path("state")}`,
    `SlurmdSpoolDir=${path("spool.%n")}`,
    `TmpFS=${path("tmp.%n")}`,
    `SlurmctldPidFile=${path("slurmctld.pid")}`,
    `SlurmdPidFile=${path("slurmd.%n.pid")}`,
    `SlurmctldLogFile=${path("slurmctld.log")}`,
    `SlurmdLogFile=${path("slurmd.%n.log")}`,
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "JobAcctGatherType=jobacct_gather/none",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "SlurmdParameters=config_overrides",
    "ReturnToService=2",
    "SlurmdTimeout=6",
    "KillWait=3",
    "MessageTimeout=4",
    ...nodes,
    `PartitionName=all Nodes=${names.join(",")} Default=YES MaxTime=INFINITE State=UP`,
  ];
  const conf = path("slurm.conf");
  writeFileSync(conf, `${lines.join("\n")}\n`);
  const env = { ...process.env, SLURM_CONF: conf };
  const daemons: ChildProcess[] = [];
  const start = (command: string, args: readonly string[]) => {
    daemons.push(spawn(command, [...args], { env, stdio: "ignore" }));
  };
  const own = ["--pid-file", path("munge.pid"), "--log-file", path("munge.log"), "--seed-file", path("munge.seed")];
  start("munged", ["--foreground", "--force", "--socket", socket, "--key-file", path("munge.key"), ...own]);
  const onHost = (host: number, ...command: string[]): readonly [string, string[]] => {
    const [first, ...rest] = hosts.on(host);
    return [first, [...rest, ...command]];
  };
  const run = (command: string, ...args: string[]) => {
    const [first, rest] = onHost(1, command, ...args);
    return execFileSync(first, rest, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  };
  const close = () => {
    for (const daemon of daemons) daemon.kill("SIGKILL");
    rmSync(socket, { force: true });
  };
  try {
    await until(() => existsSync(socket), "munged");
    start(...onHost(1, "slurmctld", "-D", "-c", "-f", conf));
    for (const host of numbers) {
      start(...onHost(host, "slurmd", "-D", "-c", "-N", hosts.name(host), "-f", conf));
    }
    const idle = () => {
      try {
        return run("sinfo", "-h", "-o", "%D %T").trim() === `${count} idle`;
      } catch {
        return false; // the controller does not answer yet
      }
    };
    await until(idle, "a Slurm cluster");
  } catch (error) {
    close();
    throw error;
  }
  return { run, close };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const begin = performance.now();
  while (!condition()) {
    if (performance.now() - begin > 40_000) throw new Error(`${what} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function reason(): string | undefined {
  if (!openMpi) return "no mpirun of Open MPI on this machine";
  if (noHosts !== undefined) return noHosts;
  if (process.getuid?.() !== 0) return "Slurm's daemons need root";
  try {
    execFileSync("which", ["slurmctld", "slurmd", "munged", "sbatch", "srun"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "no Slurm on this machine: slurm-wlm, munge, libpmix-dev";
  }
}
