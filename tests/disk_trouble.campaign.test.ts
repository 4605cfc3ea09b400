/** A disk that refuses costs neither a step nor a bit: the run goes on, says so, and writes everything later. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Call, testFolder, zerogate } from "./support/cli.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const folder = testFolder();
const cwd = folder;
const run = (out: string) => join(folder, out);
const flags = tinyRun(folder, {
  "--save-every": "1",
  "--keep-checkpoints": "50",
  "--steps": "40",
  "--eval-every": "20",
});
const receipt = (out: string) => readFileSync(join(run(out), "receipt.jsonl"), "utf8");
const checkpoints = (out: string) => readdirSync(join(run(out), "checkpoints")).toSorted();
let whole: { adapter: string; steps: [number, number][]; receipt: string };
const outcome = (out: string) => {
  return { adapter: adapterHash(run(out)), steps: stepLosses(run(out)), receipt: receipt(out) };
};

beforeAll(async () => {
  expect(await zerogate(["train", ...flags, "--out", "whole"], { cwd })).toMatchObject({ code: 0 });
  whole = outcome("whole");
});

/** A run that is held after the step behind `step` until `act` is done, which happens when `step` is reported. */
const train = (out: string, step: number, act: () => void, more: readonly string[] = [], call: Partial<Call> = {}) =>
  zerogate(["train", ...flags, "--out", out, "--json", ...more], {
    cwd,
    ...call,
    env: {
      NODE_OPTIONS: `--import ${new URL("support/disk_faults.mjs", import.meta.url).href}`,
      FAULT_ROOT: run(out),
      FAULT_SWITCH: run(`${out}.refuses`),
      HOLD_AFTER: `"step":${step + 1},`,
      HOLD_UNTIL: run("acted"),
      ...call.env,
    },
    onLine(line, ...rest) {
      if (line.startsWith(`{"event":"step","step":${step},`)) {
        act();
        writeFileSync(run("acted"), "");
      }
      call.onLine?.(line, ...rest);
    },
  });
beforeEach(() => rmSync(run("acted"), { force: true }));

const subjects = ["The checkpoint", "metrics.jsonl", "receipt.jsonl"];

describe.each(["ENOSPC", "EIO", "EACCES", "EROFS"])("while every write fails with %s", (code) => {
  test("training goes on, says so once, and everything is written in the end", async () => {
    const out = `once-${code}`;
    const refuses = run(`${out}.refuses`);
    const waiting = new Set(subjects);
    const done = await train(out, 3, () => writeFileSync(refuses, code), [], {
      onLine(line) {
        // Each file has its turn: a save may take as long as all the steps left.
        for (const subject of waiting) if (line.includes(`${subject} cannot be written`)) waiting.delete(subject);
        if (waiting.size === 0) rmSync(refuses, { force: true });
      },
    });
    expect(done).toMatchObject({ code: 0 });
    expect(done.json.filter(({ event }) => event === "step")).toHaveLength(40);
    expect(outcome(out)).toEqual(whole);
    expect(checkpoints(out)).toContain("step-40");
    for (const subject of subjects) {
      const said = new RegExp(`${subject} cannot be written: [^:]*\\(${code}\\)\\. Training goes on`, "g");
      expect(done.stderr.match(said)).toHaveLength(1);
      expect(done.stderr).toMatch(new RegExp(`${subject} is written again, nothing of it is lost`));
    }
    expect(await zerogate(["verify", out], { cwd })).toMatchObject({ code: 0 });
  });
});

test("a disk that refuses to the end costs the end only: the state is put elsewhere, and older checkpoints stay", async () => {
  const refuse = () => writeFileSync(run("never.refuses"), "ENOSPC");
  const failed = await train("never", 10, refuse, ["--disk-patience", "0.01"], { env: { TMPDIR: folder } });
  expect(failed).toMatchObject({ code: 1 });
  expect(failed.stderr).toMatch(
    /Cannot save the last checkpoint in \S+never: its disk is full \(ENOSPC\); it is saved as (\S+step-40): move/,
  );
  const rescued = /it is saved as (\S+step-40)/.exec(failed.stderr)?.[1] ?? "";
  const old = checkpoints("never").filter((name) => name.startsWith("step-"));
  expect(old.length).toBeGreaterThan(3);
  rmSync(run("never.refuses"));
  renameSync(rescued, join(run("never"), "checkpoints", "step-40"));
  // What the disk refused to the end is missing in the receipt too.
  const resumed = await zerogate(["resume", "never", "--accept-change", "receipt"], { cwd });
  expect(resumed).toMatchObject({ code: 0 });
  expect(adapterHash(run("never"))).toBe(whole.adapter);
  expect(checkpoints("never")).toEqual(expect.arrayContaining(old));
});

test("a run whose folder vanishes makes it again, and loses no line", async () => {
  const done = await train("gone", 10, () => {
    renameSync(run("gone"), run("gone.old"));
    rmSync(run("gone.old"), { recursive: true, force: true, maxRetries: 10 });
  });
  expect(done).toMatchObject({ code: 0 });
  expect(outcome("gone")).toEqual(whole);
  expect(existsSync(join(run("gone"), "config.json"))).toBe(true);
  expect(await zerogate(["verify", "gone"], { cwd })).toMatchObject({ code: 0 });
});

const mounted = canMount();

test.skipIf(!mounted)(
  "a file system that is full while a run goes on is waited for (skipped where tmpfs cannot be mounted: needs root)",
  async () => {
    const disk = run("disk");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
    const out = join("disk", "run");
    const ballast = join(disk, "ballast");
    const fill = () => {
      try {
        writeFileSync(ballast, Buffer.alloc(8 << 20));
      } catch {
        // Full, as it should be.
      }
    };
    const done = await train(out, 5, fill, ["--keep-checkpoints", "2"], {
      onLine: (line) => line.includes("The checkpoint cannot be written") && rmSync(ballast, { force: true }),
    });
    expect(done).toMatchObject({ code: 0 });
    expect(done.stderr).toMatch(/The checkpoint cannot be written: its disk is full \(ENOSPC\)/);
    expect(outcome(out)).toEqual(whole);
  },
);

function canMount(): boolean {
  const disk = run("disk");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], { stdio: "ignore" });
    execFileSync("umount", [disk]);
    return true;
  } catch {
    return false;
  }
}

afterAll(() => {
  if (mounted && existsSync(run("disk"))) execFileSync("umount", [run("disk")], { stdio: "ignore" });
});
