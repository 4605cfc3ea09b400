import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { absent } from "../test/levels.ts";
import { steadyMemory } from "./steady_memory.ts";

const program = fileURLToPath(new URL("../test/returned_memory.mjs", import.meta.url));
const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
const why = header.glibcVersionRuntime === undefined ? " (skipped: the C library is not glibc)" : absent;

/** MiB that a process holds more after 200 MiB of arrays came and went. */
async function kept(mode: "plain" | "steady"): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, mode]);
  return Number(stdout.split(" ")[0]);
}

test.skipIf(why !== "")(
  `large arrays that are freed go back to the system, between small ones that stay${why}`,
  async () => {
    expect(steadyMemory()).toBe(true);
    expect(await kept("plain")).toBeGreaterThan(100); // what it is for
    expect(await kept("steady")).toBeLessThan(20);
  },
);
