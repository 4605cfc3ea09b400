/**
 * Every fuzz target, always with the same seed: for a fixed number of rounds, or in CI for `ZEROGATE_FUZZ_SECONDS` seconds each.
 * `node tests/fuzz/run.mjs --seconds 600` goes on for longer, with other seeds.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const targets = readdirSync(here("targets")).map((file) => file.replace(/\.mjs$/, ""));
/** Some seconds each on a slow machine: readers of files take longer than readers of bytes. */
const ROUNDS = {
  manifest: 500,
  run_folder: 500,
  token_cache: 1000,
  records: 500,
  template: 500,
  chat_template: 60,
  tokenizer: 200,
  tokenizer_model: 500,
  run_config: 1000,
} as const;
/** Accepted as it is written, to the byte, and no other way, which its target checks: few inputs are left as they were. */
const EXACT = "manifest";
const seconds = process.env["ZEROGATE_FUZZ_SECONDS"];

test.each(targets)(
  "%s: any change of its corpus is accepted and right, or refused with an InputError",
  async (target) => {
    const rounds = ROUNDS[target as keyof typeof ROUNDS] ?? 5000;
    const length = seconds === undefined ? ["--rounds", String(rounds)] : ["--seconds", seconds];
    const args = [here("run.mjs"), "--target", target, ...length, "--seed", "7"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 840_000 }).catch(
      (error: { stdout?: string; message: string }) => ({ stdout: error.stdout || error.message }),
    );
    const counts = JSON.parse(stdout) as { inputs: number; accepted: number; refused: number; fault?: string };
    expect(counts.fault).toBeUndefined();
    expect(counts.inputs).toBeGreaterThanOrEqual(seconds === undefined ? rounds : 1);
    // A fuzzer that never gets through, or is never refused, tests nothing.
    expect(counts.refused).toBeGreaterThan(0);
    expect(target === EXACT || counts.accepted > 0).toBe(true);
  },
);

test("a fault is found, reported with its input and ends with 1", async () => {
  const broken = promisify(execFile)(process.execPath, [here("run.mjs"), "--target", "nowhere"], { timeout: 840_000 });
  await expect(broken).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('"fault":"') });
});
