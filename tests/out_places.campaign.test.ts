/** Places where no run can be written: refused before any work, by a dry run too. */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const flags = tinyRun(cwd, { "--workers": "1" });
const isRoot = process.getuid?.() === 0;
/** Root may write anywhere: a user of no name may not. */
const BARE_ID = 1_234_567;

symlinkSync("nowhere", at("dead"));
symlinkSync("circle", at("circle"));
writeFileSync(at("file"), "");
symlinkSync("file", at("to-file"));
mkdirSync(at("full"));
writeFileSync(at("full", "mine.txt"), "");
mkdirSync(at("shut", "open"), { recursive: true });

const namesIn = (folder: string) => (readdirSync(folder, { recursive: true }) as string[]).toSorted();

const expectRefused = async (out: string, says: string | RegExp, run = zerogateHere) => {
  const before = namesIn(cwd);
  for (const more of [[], ["--dry-run"]]) {
    const refused = await run(["train", ...flags, "--out", out, ...more], { cwd });
    expect(refused, `${more.join()} ${refused.stderr}`).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(says);
    expect(refused.stderr).not.toContain("tokenising");
  }
  expect(namesIn(cwd)).toEqual(before);
};

test.each([
  ["dead", /dead, a link to nowhere, leads nowhere: choose another/],
  ["dead/run", /dead, a link to nowhere, leads nowhere: choose another/],
  ["dead/a/b/run", /dead, a link to nowhere, leads nowhere: choose another/],
  ["circle/run", /circle, a link to circle, leads nowhere: choose another/],
  ["file", /file is a file: choose another/],
  ["file/run", /file is a file: choose another/],
  ["to-file/a/run", /to-file, a link to file, is a file: choose another/],
  ["full", /it is not empty: choose another folder/],
  [`${"n".repeat(300)}/run`, /cannot be looked at \(ENAMETOOLONG\): choose another/],
])("--out %s is refused before any work, in a dry run too [T-C8, T-case25]", async (out, says) => {
  await expectRefused(out, says);
});

test.skipIf(!isRoot)("a folder that may not be written to is refused (skipped: needs root) [T-C8]", async () => {
  chmodSync(cwd, 0o777);
  chmodSync(at("shut"), 0o755);
  await expectRefused("shut/run", /shut may not be written to by this user: choose another/, (args, call) =>
    zerogate(args, { ...call, uid: BARE_ID }),
  );
});

test("a run that another process writes is refused by a dry run too [T-C8]", async () => {
  mkdirSync(at("locked"));
  const record = { pid: 1, startTime: "x", host: `not-${hostname()}`, boot: " ", since: "2026-01-01T00:00:00.000Z" };
  writeFileSync(at("locked", "lock-1"), `${JSON.stringify(record)}\n`);
  const refused = await zerogateHere(["train", ...flags, "--out", "locked", "--dry-run"], { cwd });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("may be writing to it, which cannot be seen from here");
});

test("a dry run refuses hosts that no launcher started, as the run does [T-C8]", async () => {
  const args = ["train", ...flags, "--out", "alone", "--hosts", "mpi"];
  const call = { cwd, env: { ZEROGATE_MPI: "libnowhere.so.1" } }; // whatever MPI this machine has
  const [run, dry] = [await zerogate(args, call), await zerogate([...args, "--dry-run"], call)];
  expect(run.code).toBe(2);
  expect(dry).toMatchObject({ code: 2, stdout: "" });
  expect(dry.stderr).toBe(run.stderr);
});

test("a dry run of a folder that is free prints its plan and makes nothing [T-C8]", async () => {
  const before = readdirSync(cwd).toSorted();
  const planned = await zerogateHere(["train", ...flags, "--out", "a/b/run", "--dry-run"], { cwd });
  expect(planned.code, planned.stderr).toBe(0);
  expect(
    readdirSync(cwd)
      .toSorted()
      .filter((name) => name !== "cache"),
  ).toEqual(before.filter((name) => name !== "cache"));
});

test("a converted adapter is not begun where it cannot be written [T-C8]", async () => {
  const refused = await zerogateHere(["adapters", "average", "x", "y", "--out", "dead/adapter"], { cwd });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("dead, a link to nowhere, leads nowhere: choose a new folder");
});
