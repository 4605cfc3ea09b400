/** Several hosts, simulated by network namespaces, train the bits of one process; their sums cross the wire. */

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { type Hosts, noHosts, openHosts } from "../support/hosts.ts";
import { type Job, type JobOutcome, openMpi, runJob, zerogateFile } from "../support/mpi.ts";
import { adapterHash, base, stepMetrics, tinyRun } from "../support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const run = (out: string) => join(folder, out);
const why = openMpi ? noHosts : "no mpirun of Open MPI on this machine";
const network = 77 + (process.pid % 100);

describe.skipIf(why !== undefined)(`hosts${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let hosts: Hosts;
  let whole: string;
  /** Of 40 steps: long enough for something to happen in the middle. */
  let long: string;
  const launch = (which: readonly number[], ranks: readonly string[], onLine?: Job["onLine"]) => {
    const [command, first] = hosts.mpirun(which);
    return runJob({ command, args: [...first, ...ranks], cwd: folder, ...(onLine && { onLine }) });
  };
  const on = (which: readonly number[], args: readonly string[], onLine?: Job["onLine"], mca: readonly string[] = []) =>
    launch(which, [...mca, process.execPath, zerogateFile, ...args], onLine);
  const train = (out: string, which: readonly number[], more: readonly string[], onLine?: Job["onLine"]) =>
    on(which, ["train", ...flags, "--out", out, "--json", ...more], onLine);

  beforeAll(async () => {
    hosts = openHosts(3, network);
    const alone = async (...args: string[]) => {
      expect(await zerogate(["train", ...flags, "--workers", "2", ...args], { cwd: folder })).toMatchObject({
        code: 0,
      });
    };
    await alone("--out", "whole");
    whole = adapterHash(run("whole"));
    await alone("--out", "long", "--steps", "40");
    long = adapterHash(run("long"));
  });
  afterAll(() => hosts.close());

  /** Every step of a run of these hosts, once: bytes on the link of host 2, hash, and how much each rank computed. */
  const trains = async (out: string, which: readonly number[], start: () => Promise<JobOutcome>) => {
    const before = hosts.bytes(2);
    const { code, output } = await start();
    expect(code, output).toBe(0);
    expect(adapterHash(run(out))).toBe(whole);
    const after = hosts.bytes(2);
    const steps = stepMetrics(run(out));
    const least = steps.length * 8 * trainedNumbers(run(out));
    expect(after.sent - before.sent).toBeGreaterThan(least);
    expect(after.received - before.received).toBeGreaterThan(least);
    for (const { tokens, hostTokens = [] } of steps) {
      expect(hostTokens).toHaveLength(which.length);
      expect(hostTokens.reduce((a, b) => a + b, 0)).toBe(tokens);
    }
    return steps.map(({ hostTokens = [] }) => hostTokens);
  };

  test("two hosts of two workers train the bits of one process, and every sum crosses the link", async () => {
    const shares = await trains("hosts-2", [1, 2], () => train("hosts-2", [1, 2], ["--workers", "2"]));
    expect(shares.length).toBeGreaterThan(0);
  });

  test("three hosts of 1, 2 and 1 workers train the same bits, in uneven shares", async () => {
    const each = 'exec "$@" --workers $((OMPI_COMM_WORLD_RANK == 1 ? 2 : 1))';
    const command = ["sh", "-c", each, "sh", process.execPath, zerogateFile, "train", ...flags, "--out", "uneven"];
    const shares = await trains("uneven", [1, 2, 3], () => launch([1, 2, 3], command));
    const [first = 0, second = 0, third = 0] = shares[0] ?? []; // by workers: nothing is measured yet
    expect(Math.min(first, third)).toBeGreaterThan(0);
    expect(second).toBeGreaterThan(1.2 * Math.max(first, third));
  });

  test("rank 0 sends the base to a host that keeps a copy, once", async () => {
    const bytes = statSync(join(base, "model.safetensors")).size;
    const received = async (out: string) => {
      const before = hosts.bytes(2).received;
      const { code, output } = await train(out, [1, 2], ["--workers", "1", "--steps", "1", "--broadcast-weights"]);
      expect(code, output).toBe(0);
      return hosts.bytes(2).received - before;
    };
    expect((await received("sent")) - (await received("kept"))).toBeGreaterThan(0.9 * bytes);
    const [copy = "", ...others] = readdirSync(join(folder, "cache", "zerogate", "bases"));
    expect(others).toEqual([]);
    const kept = join(folder, "cache", "zerogate", "bases", copy);
    expect(readdirSync(kept)).toEqual(readdirSync(base));
    const bytesKept = readFileSync(join(kept, "model.safetensors"));
    bytesKept[bytes - 2] = (bytesKept[bytes - 2] ?? 0) ^ 1;
    writeFileSync(join(kept, "model.safetensors"), bytesKept);
    const { code, output } = await train("bad-copy", [1, 2], ["--workers", "1", "--steps", "1", "--broadcast-weights"]);
    expect(code).not.toBe(0);
    expect(output).toMatch(/Cannot train together: base of rank 1 is /);
    expect(existsSync(run("bad-copy"))).toBe(false);
  });

  /** Trains on hosts 1 and 2 until `event` happens, once a checkpoint is there, and says how long after it the launcher ended. */
  const lose = async (out: string, event: () => void) => {
    let since: number | undefined;
    const checkpoints = join(run(out), "checkpoints");
    const isSaved = () => existsSync(checkpoints) && readdirSync(checkpoints).some((name) => /^step-[1-9]/.test(name));
    const more = [
      "--workers",
      "1",
      "--save-every",
      "1",
      "--steps",
      "40",
      "--host-timeout",
      "3",
      "--disk-patience",
      "0",
    ];
    const { code, output } = await train(out, [1, 2], more, (line) => {
      if (since !== undefined || !line.includes('"event":"step"') || !isSaved()) return;
      since = performance.now();
      event();
    });
    expect(since, output).toBeDefined();
    expect(code, output).not.toBe(0);
    expect(existsSync(join(run(out), "adapter"))).toBe(false);
    return (performance.now() - (since ?? 0)) / 1000;
  };
  const resume = async (out: string, which: readonly number[]) => {
    const { code, output } = await on(which, ["resume", out, "--workers", "1"]);
    expect(code, output).toBe(0);
    expect(adapterHash(run(out))).toBe(long);
    return output;
  };

  test("a rank on another host is killed: the launcher ends, and three hosts resume to the same bits", async () => {
    const seconds = await lose("killed", () => process.kill(hosts.rank(1), "SIGKILL"));
    expect(seconds).toBeLessThan(30);
    await resume("killed", [1, 2, 3]);
  });

  test("rank 0 is killed, and its host stays away: the others wait for its beat, say so, and resume to the same bits", async () => {
    const seconds = await lose("first-lost", () => process.kill(hosts.rank(0), "SIGKILL"));
    expect(seconds).toBeLessThan(30);
    const output = await resume("first-lost", [2, 3]);
    const who = `process \\d+ on ${hosts.name(1)}, since \\S+, was writing to this run`;
    expect(output).toMatch(new RegExp(`${who} and gave no sign of life for 10 s: taken over`));
  });

  test("a host that nobody knows: the launcher ends at once, and nothing is written", async () => {
    const { code, output, seconds } = await train("unknown", [1, 9], ["--workers", "1"]);
    expect(code).not.toBe(0);
    expect(output).toContain(hosts.name(9));
    expect(seconds).toBeLessThan(20);
    expect(existsSync(run("unknown"))).toBe(false);
  });

  describe.each(["refused", "dropped"] as const)("ports between the ranks that are closed, %s", (how) => {
    const first = how === "refused" ? 20_000 : 20_100;
    const ports = ["--mca", "btl_tcp_port_min_v4", String(first), "--mca", "btl_tcp_port_range_v4", "100"];
    const out = `closed-${how}`;

    test("the message names the rank behind them, and nothing is written", async () => {
      for (const host of [1, 2]) hosts.closePorts(host, first, first + 99, how);
      const args = ["train", ...flags, "--out", out, "--host-timeout", "1"];
      const { code, output, seconds } = await on([1, 2], args, undefined, ports);
      expect(code).not.toBe(0);
      // Where they are refused Open MPI says before it which address and port rank 1 cannot reach, and ends that rank.
      expect(output).toMatch(/rank 0 of 2: Cannot go on at .*: after 1 s these have not come: rank 1 /);
      expect(seconds).toBeLessThan(50);
      expect(existsSync(run(out))).toBe(false);
    });
  });

  test("ports that are closed in the middle of a run: it ends, and only rank 0 says what is saved", async () => {
    const ports = ["--mca", "btl_tcp_port_min_v4", "20200", "--mca", "btl_tcp_port_range_v4", "100"];
    const more = ["--workers", "1", "--save-every", "1", "--steps", "4000", "--host-timeout", "3", "--json"];
    let isClosed = false;
    const { code, output } = await on(
      [1, 2],
      ["train", ...flags, "--out", "shut", ...more],
      (line) => {
        if (isClosed || !line.includes('"step":3,')) return;
        isClosed = true;
        for (const host of [1, 2]) hosts.closePorts(host, 20_200, 20_299, "dropped");
      },
      ports,
    );
    expect(isClosed, output).toBe(true);
    expect(code).not.toBe(0);
    expect(output).toMatch(/rank [01] of 2: Cannot go on at /);
    expect(output).not.toMatch(/rank 1 of 2: .*\nThe state after step \d+ is/);
    expect(existsSync(join(run("shut"), "adapter"))).toBe(false);
  });

  // Last: host 2 stays cut off.
  test("a cable is pulled: the launcher ends, and the host that is left resumes to the same bits", async () => {
    const seconds = await lose("cut", () => hosts.cut(2));
    expect(seconds).toBeLessThan(45);
    await resume("cut", [1]);
  });
});

/** Numbers of the adapter; a step's sum carries each in 8 bytes. */
function trainedNumbers(runDir: string): number {
  const file = readFileSync(join(runDir, "adapter", "adapter_model.safetensors"));
  return (file.length - 8 - Number(file.readBigUInt64LE(0))) / 4;
}
