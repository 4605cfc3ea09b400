/** The lock of a run directory that several hosts share. Hosts that sleep, or race: lock_hosts.campaign.test.ts. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { holder, run, unable } from "../../test/lock_hosts.ts";

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
  },
);
