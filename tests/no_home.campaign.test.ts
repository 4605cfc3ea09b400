/** A container may run under a bare user id: no HOME, no entry for the id, and so no folder for a cache. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, records, tinyRun } from "./support/world.ts";

const cwd = testFolder();
/** No machine gives it to a person. */
const BARE_ID = 1_234_567;
const isRoot = process.getuid?.() === 0;
const bare = { cwd, uid: BARE_ID, env: { HOME: undefined, XDG_CACHE_HOME: undefined } };

test.skipIf(!isRoot)(
  "a bare user id trains, verifies and evaluates without a cache (skipped: needs root) [T-B8]",
  async () => {
    chmodSync(cwd, 0o777);
    const small = { "--steps": "2", "--batch-size": "2", "--validation-data": "few.json", "--workers": "1" };
    const flags = ["train", ...tinyRun(cwd, small), "--engine", "reference"];
    writeFileSync(join(cwd, "few.json"), JSON.stringify(records("heldout.json", 2)));
    const usual = await zerogateHere([...flags, "--out", "usual"], { cwd });
    expect(usual.code, usual.stderr).toBe(0);
    const trained = await zerogate([...flags, "--out", "bare"], bare);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain("this user has no home folder: tokens are kept nowhere");
    expect(adapterHash(join(cwd, "bare"))).toBe(adapterHash(join(cwd, "usual")));
    const verified = await zerogate(["verify", "bare", "--replay", "1..2"], bare);
    expect(verified.code, verified.stderr).toBe(0);
    const evaluated = await zerogate(
      ["eval", "--model", base, "--data", "held.json", "--adapter", "bare/adapter", "--workers", "1"],
      bare,
    );
    expect(evaluated.code, evaluated.stderr).toBe(0);
    const kept = await zerogate([...flags, "--out", "kept", "--cache-dir", "own-cache"], bare);
    expect(kept.code, kept.stderr).toBe(0);
    expect(kept.stderr).not.toContain("no home folder");
  },
);
