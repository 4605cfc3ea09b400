/** Jobs of several ranks, launched as a user would. */
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const zerogateFile: string = fileURLToPath(new URL("../../packages/zerogate/dist/bin.js", import.meta.url));

/** mpirun of Open MPI and of MPICH, if this machine has them. */
export const openMpi: string | undefined = mpirunOf(["mpirun.openmpi", "mpirun"], /Open MPI|OpenRTE/);
export const mpich: string | undefined = mpirunOf(["mpirun.mpich", "mpirun"], /HYDRA/);

function mpirunOf(commands: readonly string[], says: RegExp): string | undefined {
  return commands.find((command) => {
    try {
      return says.test(execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    } catch {
      return false;
    }
  });
}

export interface Job {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every line of stdout and stderr; `ranks` finds the process of each rank on this machine. */
  readonly onLine?: (line: string, ranks: () => ReadonlyMap<number, number>, launcher: number) => void;
  readonly timeoutMs?: number;
}

export interface JobOutcome {
  readonly code: number | null;
  readonly output: string;
  readonly seconds: number;
}

/** Runs a launcher to its end; one that does not end is killed, with all of its ranks, and that is an error. */
export async function runJob({ command, args, cwd, env, onLine, timeoutMs = 840_000 }: Job): Promise<JobOutcome> {
  const begin = performance.now();
  const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const { CI: _, ZEROGATE_LOG_LEVEL: __, ...inherited } = process.env;
  const child = spawn(command, [...args], {
    cwd,
    env: { ...inherited, ...asRoot, XDG_CACHE_HOME: join(cwd, "cache"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const launcher = child.pid ?? 0;
  const ranks = () => ranksOf(launcher);
  const lines: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      lines.push(line);
      onLine?.(line, ranks, launcher);
    });
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    for (const pid of [...ranks().values(), launcher]) process.kill(pid, "SIGKILL");
  }, timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
    // A daemon on a host that was cut off stays, and keeps the pipes open.
    child.once("exit", (status) => setTimeout(resolve, 1000, status));
  });
  clearTimeout(timer);
  child.stdout.destroy();
  child.stderr.destroy();
  const output = lines.join("\n");
  if (isLate) throw new Error(`${command} did not end within ${timeoutMs} ms:\n${output}`);
  return { code, output, seconds: (performance.now() - begin) / 1000 };
}

/** Process ids by rank of what descends from the launcher. */
function ranksOf(launcher: number): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const stat = textOf(`/proc/${name}/stat`);
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const descends = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent === launcher || (parent !== undefined && parent > 1 && descends(parent));
  };
  return ranksAmong([...parents.keys()].filter(descends));
}

/** Process ids by rank, of those among `pids` that are ranks. */
export function ranksAmong(pids: readonly number[]): Map<number, number> {
  const found = new Map<number, number>();
  for (const pid of pids) {
    if (!textOf(`/proc/${pid}/cmdline`).includes(zerogateFile)) continue;
    const rank = /(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)/.exec(textOf(`/proc/${pid}/environ`))?.[1];
    if (rank !== undefined && !found.has(Number(rank))) found.set(Number(rank), pid);
  }
  return found;
}

/** Empty if the process has ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
