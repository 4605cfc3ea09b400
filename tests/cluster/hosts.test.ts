/** Several hosts, simulated by network namespaces, train the bits of one process; their sums cross the wire. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { type Hosts, noHosts, openHosts } from "../support/hosts.ts";
import { type Job, openMpi, runJob, zerogateFile } from "../support/mpi.ts";
import { adapterHash, stepLosses, tinyRun } from "../support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const run = (out: string) => join(folder, out);
const why = openMpi ? noHosts : "no mpirun of Open MPI on this machine";
const network = 77 + (process.pid % 100);

describe.skipIf(why !== undefined)(`hosts${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let hosts: Hosts;
  let whole: string;
  const on = (which: readonly number[], args: readonly string[], onLine?: Job["onLine"]) => {
    const [command, first] = hosts.mpirun(which);
    const job = { command, args: [...first, process.execPath, zerogateFile, ...args], cwd: folder };
    return runJob({ ...job, ...(onLine && { onLine }), timeoutMs: 100_000 });
  };
  const train = (out: string, which: readonly number[], more: readonly string[], onLine?: Job["onLine"]) =>
    on(which, ["train", ...flags, "--out", out, "--json", ...more], onLine);

  beforeAll(async () => {
    hosts = openHosts(3, network);
    const done = await zerogate(["train", ...flags, "--out", "whole", "--workers", "2"], { cwd: folder });
    expect(done).toMatchObject({ code: 0 });
    whole = adapterHash(run("whole"));
  });
  afterAll(() => hosts.close());

  test.each([
    [[1, 2], 2],
    [[1, 2, 3], 1],
  ])(
    "hosts %j with %i workers each train the bits of one process, and every sum crosses the link",
    async (which, workers) => {
      const before = hosts.bytes(2);
      const out = `hosts-${which.length}`;
      const { code, output } = await train(out, which, ["--workers", String(workers)]);
      expect(code, output).toBe(0);
      expect(adapterHash(run(out))).toBe(whole);
      const after = hosts.bytes(2);
      const least = stepLosses(run(out)).length * 8 * trainedNumbers(run(out));
      expect(after.sent - before.sent).toBeGreaterThan(least);
      expect(after.received - before.received).toBeGreaterThan(least);
    },
  );
});

/** Numbers of the adapter, each of which a step's sum carries in 8 bytes. */
function trainedNumbers(runDir: string): number {
  const file = readFileSync(join(runDir, "adapter", "adapter_model.safetensors"));
  return (file.length - 8 - Number(file.readBigUInt64LE(0))) / 4;
}
