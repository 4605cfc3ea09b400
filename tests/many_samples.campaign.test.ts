/**
 * Millions of samples are split, planned and read from a token file in memory of about a hundred bytes each. `ZEROGATE_SAMPLES=10000000`
 * makes it ten million, within 1 GB.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";

const count = Number(process.env["ZEROGATE_SAMPLES"] ?? 500_000);
const steps = 500;
const folder = testFolder();
const script = fileURLToPath(new URL("support/many_samples.mjs", import.meta.url));
const run = async (...words: string[]) =>
  (await promisify(execFile)(process.execPath, [script, ...words], { timeout: 840_000 })).stdout;

test("samples by the million are split and planned, and their steps read from a file, in bounded memory [D-large-many]", async () => {
  const path = join(folder, "many.tokens");
  await run("write", path, String(count));
  const said = JSON.parse(await run("plan", path, String(steps))) as Readonly<Record<string, number>>;
  expect(said["train"]).toBe(count - Math.round(0.001 * count));
  expect(said["stepsPerEpoch"]).toBe(Math.ceil((said["train"] ?? 0) / 64));
  expect(said["samples"]).toBe(64 * steps);
  expect(said["labelled"]).toBeGreaterThan(0);
  // Ten million: 80 MB of offsets and 40 MB for each number of a sample; a split finds equal samples by 16 bytes of each.
  expect(said["peakBytes"], JSON.stringify(said)).toBeLessThan(150e6 + 85 * count);
});
