/**
 * The engine's correctness suite on the real GPU: the same tests as on the emulator. Numbers of passed, failed and skipped tests.
 *
 *   node bench/gpu/suite.mjs [--only NAME] [--emulator 1] [--out FILE]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ only: "", emulator: "" });
const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zerogate-suite-"));
const report = join(folder, "report.json");
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const flags = [
  "run",
  "packages/engine-cuda",
  "--exclude=**/nvrtc.test.ts",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
];
// A fault has its kernel's name; NVRTC's own tests need no GPU.
const env = { ...process.env, ...(options.emulator ? {} : { ZEROGATE_TEST_GPU: "1", ZEROGATE_CUDA_DEBUG: "1" }) };
const filter = options.only ? ["-t", options.only] : [];
try {
  spawnSync(process.execPath, [vitest, ...flags, ...filter], { cwd: root, env, stdio: "inherit" });
  const { success, numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = all.filter(({ status }) => status === "failed");
  const because = ({ fullName, failureMessages }) => `${fullName}: ${failureMessages[0]?.split("\n", 1)[0] ?? ""}`;
  const names = failed.slice(0, 20).map(because);
  writeResult(options, { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests, names });
  if (!success || numPassedTests === 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
