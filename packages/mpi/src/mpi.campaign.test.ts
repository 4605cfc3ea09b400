/** Real jobs of several processes on this host, launched as a user would. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCommunicator } from "./open.ts";

const script = fileURLToPath(new URL("../test/ranks.mjs", import.meta.url));

/** The first of these commands whose version text says that it is what we look for. */
function find(commands: readonly string[], says: RegExp): string | undefined {
  return commands.find((command) => {
    try {
      return says.test(execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    } catch {
      return false;
    }
  });
}

const openMpi = find(["mpirun.openmpi", "mpirun"], /Open MPI|OpenRTE/);
const mpich = find(["mpirun.mpich", "mpirun"], /HYDRA/);
const mpicc = find(["mpicc.mpich", "mpicc"], /./);

interface Outcome {
  readonly code: number | null;
  readonly lines: { rank: number; size: number; about: string; result: unknown }[];
  readonly stderr: string;
  readonly seconds: number;
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const begin = performance.now();
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...asRoot, ...env }, timeout: 840_000 };
    const child = execFile(command, [...args], options, (_, stdout, stderr) => {
      const json = stdout.split("\n").filter((line) => line.startsWith("{"));
      const lines = json.map((line) => JSON.parse(line) as Outcome["lines"][number]);
      lines.sort((a, b) => a.rank - b.rank);
      resolve({ code: child.exitCode, lines, stderr, seconds: (performance.now() - begin) / 1000 });
    });
  });
}

const mpirun = (ranks: number, scenario: string, env?: Record<string, string>) =>
  run(
    openMpi ?? "",
    ["--oversubscribe", "--bind-to", "none", "-np", String(ranks), process.execPath, script, scenario],
    env,
  );

test("one process alone needs no library and sums to itself", async () => {
  const communicator = await openCommunicator({ kind: "auto", startLimitMs: 1000 });
  const values = BigInt64Array.of(5n) as BigInt64Array as BigInt64Array<SharedArrayBuffer>;
  await communicator.sum(values, { phase: "step 1", limitMs: 1 });
  expect([communicator.rank, communicator.size, values[0]]).toEqual([0, 1, 5n]);
  await communicator.close();
});

describe.skipIf(!openMpi)(`Open MPI${openMpi ? "" : " (skipped: no mpirun of Open MPI on this machine)"}`, () => {
  test.each([1, 2, 3])("%i ranks: sums wrap exactly, a broadcast arrives, everybody knows everybody", async (ranks) => {
    const { code, lines, stderr } = await mpirun(ranks, "sums");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(lines).toHaveLength(ranks);
    const rows = Array.from({ length: ranks }, (_, rank) => [rank, -7]);
    for (const [rank, line] of lines.entries()) expect(line).toMatchObject({ rank, size: ranks, result: rows });
    expect(lines[0]?.about).toMatch(/^Open MPI v\d.* \(libmpi\.so.*\), launched by Open MPI's mpirun$/);
  });

  test("a rank that does not come is named with where it was last seen, and the job ends", async () => {
    const { code, stderr, seconds } = await mpirun(3, "late");
    expect(code).not.toBe(0);
    expect(stderr).toContain(
      "RankLateError: Cannot go on at step 2: after 1 s these have not come: rank 1 (last seen at step 1)",
    );
    expect(seconds).toBeLessThan(15);
  });

  test("ranks that come for different things are refused before a number is touched", async () => {
    const { code, stderr } = await mpirun(3, "apart");
    expect(code).not.toBe(0);
    expect(stderr).toContain("rank 2 came for a sum of 9 as number 0, rank 0 for a sum of 8 as number 0");
  });

  test("a rank that is killed ends the job", async () => {
    const { code, seconds } = await mpirun(3, "dies");
    expect(code).not.toBe(0);
    expect(seconds).toBeLessThan(20);
  });

  test("a library that does not come back from its start ends the process, and the job, with the reason", async () => {
    const { code, lines, stderr } = await mpirun(2, "stuck");
    expect(code).not.toBe(0);
    expect(lines).toEqual([]);
    const reason = "MPI did not return within 1 s (a rank has not started, or hosts cannot reach each other's ports)";
    expect(stderr).toContain(`rank 0 of 2: Cannot go on at the start of MPI: ${reason}, this process kills itself`);
  });

  test("a library that is missing is named with what to install, on every rank", async () => {
    const { code, stderr } = await mpirun(2, "sums", { ZEROGATE_MPI: "libnowhere.so.1" });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/InputError: Cannot load MPI:\n {2}- libnowhere\.so\.1: .*\n {2}- install Open MPI/);
  });

  test.skipIf(!mpich)(
    `a library of another launcher is refused${mpich ? "" : " (skipped: no MPICH on this machine)"}`,
    async () => {
      const { code, stderr } = await run(mpich ?? "", ["-np", "2", process.execPath, script, "sums"], {
        ZEROGATE_MPI: "libmpi.so.40",
      });
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/a PMI launcher says rank \d of 2, .* says rank 0 of 1: this library does not belong/);
    },
  );
});

const noMpich = mpich ? "" : " (skipped: no mpirun of MPICH on this machine)";
describe.skipIf(!mpich)(`MPICH, best effort${noMpich}`, () => {
  test("two ranks on one host sum exactly", async () => {
    const { lines } = await run(mpich ?? "", ["-np", "2", process.execPath, script, "sums"]);
    expect(lines.map(({ rank, size }) => [rank, size])).toEqual([
      [0, 2],
      [1, 2],
    ]);
    expect(lines[0]?.about).toMatch(/^MPICH.*, launched by a PMI launcher$/);
  });

  test.skipIf(!mpicc)("the numbers of its handles are those of its header", async () => {
    const folder = mkdtempSync(join(tmpdir(), "zerogate-mpi-"));
    try {
      const names = ["MPI_COMM_WORLD", "MPI_ERRORS_RETURN", "MPI_INT64_T", "MPI_UINT8_T", "MPI_SUM"];
      const print = names.map((name) => `printf("%lld ", (long long)(int)${name});`).join("");
      writeFileSync(join(folder, "p.c"), `#include <stdio.h>\n#include <mpi.h>\nint main() { ${print} return 0; }`);
      execFileSync(mpicc ?? "", ["-o", join(folder, "p"), join(folder, "p.c")]);
      const numbers = execFileSync(join(folder, "p"), { encoding: "utf8" }).trim().split(" ").map(Number);
      const { mpich: abi } = await import("./abi.ts");
      expect(numbers).toEqual([abi.world, abi.errorsReturn, abi.int64, abi.uint8, abi.sum]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
