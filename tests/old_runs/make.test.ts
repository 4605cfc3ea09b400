/**
 * Writes the fixtures of the version that is checked out: `ZEROGATE_MAKE_OLD_RUNS=1 npx vitest run tests/old_runs/make.test.ts`,
 * once for each release. It works in a folder of a fixed name, since runs store where their base and data lie.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { versions } from "../../packages/run-config/src/version.ts";
import { zerogate } from "../support/cli.ts";
import { adapterHash } from "../support/world.ts";
import { recipes, writeInputs } from "./recipes.ts";

const fixtures = fileURLToPath(new URL(`${versions.zerogate}/`, import.meta.url));
const isWanted = process.env["ZEROGATE_MAKE_OLD_RUNS"] !== undefined;

test.skipIf(!isWanted)("writes the fixtures of this version (skipped: only with ZEROGATE_MAKE_OLD_RUNS)", async () => {
  const cwd = `/zerogate-${versions.zerogate}`;
  rmSync(fixtures, { recursive: true, force: true });
  writeInputs(cwd);
  const hashes: Record<string, string> = {};
  for (const { name, model, flags, stopAfter } of recipes) {
    const train = ["train", "--model", model, "--json", ...Object.entries(flags).flat()];
    let steps = 0;
    const stopped = await zerogate([...train, "--out", name], {
      cwd,
      onLine: (line, send) => {
        if (line.startsWith("{") && ++steps === stopAfter) send("SIGINT");
      },
    });
    expect(stopped.code, stopped.stderr).toBe(stopAfter === undefined ? 0 : 130);
    const run = join(cwd, name);
    mkdirSync(fixtures, { recursive: true });
    cpSync(run, join(fixtures, name), { recursive: true, filter: (path) => !path.includes("tfevents") });
    const resumed = await zerogate(["resume", name, "--json"], { cwd });
    expect(resumed.code, resumed.stderr).toBe(0);
    hashes[name] = adapterHash(run);
  }
  writeFileSync(join(fixtures, "adapters.json"), `${JSON.stringify(hashes, null, 2)}\n`);
  rmSync(cwd, { recursive: true });
});
