/** Packages of TensorFlow.js that do what a test wants, in a folder of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineCheck } from "@zerogate/core/engine";
import { afterEach, beforeEach, vi } from "vitest";

/** The folder of one test. */
export let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-doctor-"));
  vi.stubEnv("ZEROGATE_TFJS", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A package of that name, which does this when it is loaded. */
export function install(name: string, source: string): void {
  const place = join(folder, "node_modules/@tensorflow", name);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "index.js"), source);
}

export const find = (checks: readonly MachineCheck[], backend: string) =>
  checks.find(({ name }) => name === `engine tfjs:${backend}`);
