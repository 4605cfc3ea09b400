/** Who may write to a run directory, and how a run ends that is asked to from outside. The rest: run_ends.campaign.test.ts. */
import { readdirSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { zerogate } from "./support/cli.ts";
import { call, checkpoints, folder as cwd, flags, receipt, run } from "./support/kept_runs.ts";

beforeAll(async () => {
  expect(await call("train", ...flags, "--out", "whole")).toMatchObject({ code: 0 });
});

test("a second writer is refused by name while the first one works, and may come after it", async () => {
  let second: Promise<{ code: number | null; stderr: string }> | undefined;
  const first = await zerogate(["train", ...flags, "--out", "locked", "--steps", "30"], {
    cwd,
    onLine(line) {
      if (/starting workers/.test(line)) second ??= call("resume", "locked");
    },
  });
  expect(first).toMatchObject({ code: 0 });
  const refused = await second;
  expect(refused?.code).toBe(2);
  expect(refused?.stderr).toMatch(/Cannot write to the run \S+locked: process \d+ on \S+, since \S+, is writing to it/);
  expect(await call("resume", "locked")).toMatchObject({ code: 0 });
});

test("a lock that a killed run left is explained and taken over", async () => {
  const killed = await zerogate(["train", ...flags, "--out", "killed"], {
    cwd,
    onLine(line, send) {
      if (/starting workers/.test(line)) send("SIGKILL");
    },
  });
  expect(killed.code).toBe(null);
  const resumed = await call("resume", "killed");
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).toMatch(
    /process \d+ on \S+, since \S+, was writing to this run and no longer runs: taken over/,
  );
  expect(receipt("killed")).toBe(receipt("whole"));
});

test("two starters of one run: exactly one trains it", async () => {
  const start = () => zerogate(["train", ...flags, "--out", "raced"], { cwd });
  const both = await Promise.all([start(), start()]);
  expect(both.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 2]);
  expect(receipt("raced")).toBe(receipt("whole"));
});

describe("an end from outside", () => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s saves and ends with %i", async (signal, code) => {
    const out = `ended-${signal}`;
    let isSent = false; // a second one ends it at once
    const ended = await zerogate(["train", ...flags, "--out", out, "--steps", "200", "--save-every", "500", "--json"], {
      cwd,
      onLine(line, send) {
        if (isSent || !line.includes('"event":"step"')) return;
        isSent = true;
        send(signal);
      },
    });
    expect(ended.code).toBe(code);
    const last = ended.json.at(-1);
    expect(last).toMatchObject({ event: "interrupted" });
    expect(checkpoints(out)).toContain(`step-${String(last?.["steps"])}`);
    expect(readdirSync(run(out)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("SIGUSR1 asks for a checkpoint and changes nothing else", async () => {
    const asked = await zerogate(
      ["train", ...flags, "--out", "asked", "--save-every", "500", "--steps", "12", "--json"],
      {
        cwd,
        onLine(line, send) {
          if (/"event":"step","step":1,/.test(line)) send("SIGUSR1");
        },
      },
    );
    expect(asked).toMatchObject({ code: 0 });
    const steps = checkpoints("asked").map((name) => Number(name.slice(5)));
    expect(Math.min(...steps)).toBeLessThan(12);
  });
});
