/** A TensorFlow.js that crashes, hangs or prints ends its own process only, and doctor says so. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineCheck } from "@zerogate/core/engine";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tfjsChecks } from "./machine_checks.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-doctor-"));
  vi.stubEnv("ZEROGATE_TFJS", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A package of that name, which does this when it is loaded. */
function install(name: string, source: string): void {
  const place = join(folder, "node_modules/@tensorflow", name);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "index.js"), source);
}

const find = (checks: readonly MachineCheck[], backend: string) =>
  checks.find(({ name }) => name === `engine tfjs:${backend}`);

test("one that crashes in native code and one that hangs are named, and the others are tried", async () => {
  install("tfjs-node", 'console.log("loading"); process.kill(process.pid, "SIGSEGV"); for (;;);');
  install("tfjs-node-gpu", "for (;;);");
  const checks = await tfjsChecks(5000);
  const advice = "install it anew, or remove it";
  expect(find(checks, "node")).toMatchObject({ ok: false, found: "its process was ended by SIGSEGV", advice });
  expect(find(checks, "node-gpu")).toMatchObject({ ok: false, found: "it did not answer within 5 s", advice });
  expect(find(checks, "cpu")).toMatchObject({ ok: true, found: expect.stringMatching(/^tfjs\/cpu\/4\S+ works$/) });
});

test("one that is installed without its binary, or ends its process, says so", async () => {
  install("tfjs-node", 'throw new Error("The specified module could not be found: tfjs_binding.node");');
  install("tfjs-node-gpu", 'process.stdout.write("no CUDA"); process.exit(5);');
  const checks = await tfjsChecks();
  expect(find(checks, "node")).toMatchObject({
    ok: true,
    found: expect.stringMatching(/^absent: \S+ does not load: The specified module could not be found/),
  });
  expect(find(checks, "node-gpu")).toMatchObject({ ok: false, found: "its process ended with code 5" });
});

test("one that is not installed starts no process", async () => {
  vi.stubEnv("ZEROGATE_TFJS", join(folder, "nowhere"));
  const begun = vi.spyOn(process, "execPath", "get").mockReturnValue(join(folder, "no-node"));
  const checks = await tfjsChecks();
  begun.mockRestore();
  expect(find(checks, "node-gpu")?.found).toMatch(/^absent: it needs @tensorflow\/tfjs-node-gpu: npm install /);
  expect(find(checks, "cpu")).toMatchObject({ ok: false, found: expect.stringMatching(/ENOENT/) });
});
