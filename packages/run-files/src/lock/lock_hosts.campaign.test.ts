/** Hosts that share a run directory and sleep, or race: seconds each. The others: lock_hosts.integration.test.ts. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DEAD_AFTER_MS, EVERY_MS, holder, linesOf, onHost, run, script, unable } from "../../test/lock_hosts.ts";

describe.skipIf(unable !== undefined)(
  `hosts that share a run${unable === undefined ? "" : ` (skipped: ${unable})`}`,
  () => {
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
      // A contender fails if it finds somebody else in the run while it holds the lock.
      expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      expect(outcomes.reduce((sum, { text }) => sum + Number(text), 0)).toBeGreaterThan(3);
    });
  },
);

function linesOfSafely(host: string): number {
  return readdirSync(run).includes("lines") ? linesOf(host) : 0;
}
