/** The lock of a run directory that several hosts share: processes with host names of their own, which cannot see each other. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const EVERY_MS = 50;
const DEAD_AFTER_MS = 2000;
const script = (name: string) => fileURLToPath(new URL(`../../test/${name}`, import.meta.url));
const namespaces = process.getuid?.() === 0 ? ["--uts"] : ["--user", "--map-root-user", "--uts"];
const unable = (() => {
  try {
    execFileSync("unshare", [...namespaces, "hostname", "probe"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "no namespaces for host names here";
  }
})();

let run: string;
let children: ChildProcess[] = [];
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-lock-"));
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  rmSync(run, { recursive: true, force: true });
});

/** A program on a host of its own. */
function onHost(host: string, ...command: string[]) {
  const inside = ["sh", "-c", 'hostname "$0"; exec "$@"', host, process.execPath, ...command];
  const child = spawn("unshare", [...namespaces, ...inside], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, text: lines.join("\n") }));
  const saysThat = async (what: string) => {
    while (!lines.some((line) => line.includes(what))) {
      if (child.exitCode !== null) throw new Error(`${host} ended without "${what}":\n${lines.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { child, ended, saysThat };
}
const holder = (host: string) =>
  onHost(host, script("lock_holder.mjs"), run, host, String(EVERY_MS), String(DEAD_AFTER_MS));

const linesOf = (host: string) =>
  readFileSync(join(run, "lines"), "utf8")
    .split("\n")
    .filter((line) => line === host).length;

describe.skipIf(unable !== undefined)(
  `hosts that share a run${unable === undefined ? "" : ` (skipped: ${unable})`}`,
  () => {
    test("a live writer on another host is refused by name", async () => {
      const first = holder("one");
      await first.saysThat("has the lock");
      const { code, text } = await holder("two").ended;
      expect(code).toBe(2);
      expect(text).toMatch(
        /^InputError: Cannot write to the run \S+: process \d+ on one, since \S+, is writing to it: wait/,
      );
      first.child.stdin?.write("\n");
      expect(await first.ended).toEqual({ code: 0, text: "has the lock" });
      expect(readdirSync(run)).toEqual(["lines", "lock-1.free"]);
    });

    test("a writer that was killed on another host is waited for, explained and taken over", async () => {
      const first = holder("one");
      await first.saysThat("has the lock");
      first.child.kill("SIGKILL");
      await first.ended;
      const second = holder("two");
      await second.saysThat("has the lock");
      second.child.stdin?.write("\n");
      const [waits, explains, ...rest] = (await second.ended).text.split("\n");
      expect(waits).toMatch(/^process \d+ on one, since \S+, was writing to this run: waiting 2 s for a sign of life$/);
      expect(explains).toMatch(/^process \d+ on one, .* and gave no sign of life for 2 s: taken over$/);
      expect(rest).toEqual(["has the lock"]);
    });

    test.each([
      ["is writing", false],
      ["has written", true],
    ])("a writer that slept, and wakes up while another one %s, ends without a line", async (says, isOver) => {
      const first = holder("one");
      await first.saysThat("has the lock");
      while (linesOfSafely("one") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      first.child.kill("SIGSTOP");
      const second = holder("two");
      await second.saysThat("has the lock");
      const before = linesOf("one");
      if (isOver) {
        second.child.stdin?.write("\n");
        await second.ended;
      }
      first.child.kill("SIGCONT");
      const { code, text } = await first.ended;
      expect(code).toBe(2);
      expect(text).toContain("InputError: Cannot go on writing to the run ");
      expect(text).toMatch(new RegExp(`process \\d+ on two, since \\S+, ${says} to it: this process did not answer`));
      expect(linesOf("one") - before).toBeLessThanOrEqual(1); // it may have been stopped between its check and its line
      if (!isOver) second.child.stdin?.write("\n");
      expect(await second.ended).toMatchObject({ code: 0 });
      expect(readdirSync(run)).toEqual(["lines", "lock-2.free"]);
    });

    test("of hosts that start at once on the lock of a dead one exactly one wins, again and again", async () => {
      const dead = holder("dead");
      await dead.saysThat("has the lock");
      dead.child.kill("SIGKILL");
      await dead.ended;
      const times = [String(EVERY_MS), String(DEAD_AFTER_MS)];
      const contenders = ["one", "two", "three", "three"].map((host) =>
        onHost(host, script("lock_contender.mjs"), run, "15", ...times),
      );
      const outcomes = await Promise.all(contenders.map(({ ended }) => ended));
      // A contender fails where it finds somebody else in the run while it holds the lock.
      expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      expect(outcomes.reduce((sum, { text }) => sum + Number(text), 0)).toBeGreaterThan(3);
    });
  },
);

function linesOfSafely(host: string): number {
  return readdirSync(run).includes("lines") ? linesOf(host) : 0;
}
