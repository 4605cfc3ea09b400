/** Every fuzz target for a fixed number of rounds; `node tests/fuzz/run.mjs --seconds 600` goes on for longer. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const targets = readdirSync(here("targets")).map((file) => file.replace(/\.mjs$/, ""));
/** Some seconds each on a slow machine: readers of files take longer than readers of bytes. */
const ROUNDS = { manifest: 500, records: 500, template: 500, tokenizer: 200, run_config: 1000 } as const;
/** Accepted as it is written, to the byte, and no other way. */
const EXACT = "manifest";

test.each(targets)(
  "%s: whatever is changed in its corpus is accepted and right, or refused with an InputError",
  async (target) => {
    const rounds = String(ROUNDS[target as keyof typeof ROUNDS] ?? 5000);
    const args = [here("run.mjs"), "--target", target, "--rounds", rounds, "--seed", "7"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 }).catch(
      (error: { stdout?: string; message: string }) => ({ stdout: error.stdout || error.message }),
    );
    const counts = JSON.parse(stdout) as { inputs: number; accepted: number; refused: number; fault?: string };
    expect(counts.fault).toBeUndefined();
    expect(counts.inputs).toBe(Number(rounds));
    // A fuzzer that never gets through, or is never refused, tests nothing.
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.accepted > 0).toBe(target !== EXACT);
  },
);

test("a fault is found, told with its input and ends with 1", async () => {
  const broken = promisify(execFile)(process.execPath, [here("run.mjs"), "--target", "nowhere"], { timeout: 60_000 });
  await expect(broken).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('"fault":"') });
});
