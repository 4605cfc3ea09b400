/**
 * A long run of tests/chaos: node scripts/chaos.mjs [cycles] [seed]. Without a seed one is made of the time; it is printed, and
 * with the number of cycles it decides every fault. Needs a build.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [cycles = "100", seed = String(Math.floor(Date.now() / 1000))] = process.argv.slice(2);
console.log(`${cycles} cycles of seed ${seed}`);
const folder = mkdtempSync(join(tmpdir(), "zerogate-chaos-"));
const report = join(folder, "report.json");
const env = { ZEROGATE_CHAOS_CYCLES: cycles, ZEROGATE_CHAOS_SEED: seed, ZEROGATE_CHAOS_REPORT: report };
try {
  const { status } = spawnSync("npx", ["--no-install", "vitest", "run", "tests/chaos/chaos.campaign.test.ts"], {
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (status === 0) console.log(readFileSync(report, "utf8"));
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
