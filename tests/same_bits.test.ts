/** The number of workers, stops, kills and resumes change no bit of the trained adapter. More of them: same_bits.campaign.test.ts. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Call } from "./support/cli.ts";
import {
  disturb,
  flags,
  folder,
  interrupt,
  on,
  outcome,
  resume,
  run,
  type Trained,
  train,
} from "./support/disturbed_runs.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash } from "./support/world.ts";

/** What a run that nobody disturbs ends with. */
let whole: Trained;

beforeAll(async () => {
  expect(await train("whole", 2)).toMatchObject({ code: 0 });
  whole = outcome("whole");
  expect(whole.steps.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(whole.validations.map(([step]) => step)).toEqual([0, 6]);
});

test.each([1, 3, 5, 8])("%i workers train the same bits as two [E1]", async (workers) => {
  expect(await train(`workers-${workers}`, workers)).toMatchObject({ code: 0 });
  expect(outcome(`workers-${workers}`)).toEqual(whole);
});

describe("a run that is interrupted", () => {
  test.each([
    { when: "before the first step", pattern: /starting workers/, workers: 2, later: 2 },
    { when: "after step 1", pattern: /"step":1,/, workers: 2, later: 3 },
    { when: "after step 3", pattern: /"step":3,/, workers: 3, later: 1 },
  ])("$when resumes to the same bits", async ({ when, pattern, workers, later }) => {
    const out = when.replaceAll(" ", "-");
    const stop = when === "after step 1" ? disturb : interrupt; // a real signal once
    const stopped = await stop(out, workers, on(pattern, "SIGINT"));
    expect(stopped.code).toBe(130);
    const last = stopped.json.at(-1);
    expect(last).toMatchObject({ event: "interrupted", resume: `zerogate resume ${run(out)}` });
    expect(stopped.json.length - 1).toBe(last?.["steps"]);
    expect(existsSync(join(run(out), "checkpoints", `step-${String(last?.["steps"])}`))).toBe(true);

    const resumed = await resume(out, later);
    expect(resumed).toMatchObject({ code: 0 });
    expect(resumed.json.at(-1)).toMatchObject({ event: "done", steps: 6 });
    expect(resumed.json.length - 1).toBe(6 - Number(last?.["steps"]));
    expect(outcome(out)).toEqual(whole);
  });

  test("while it reads its data leaves nothing behind", async () => {
    const cold = { env: { XDG_CACHE_HOME: join(folder, "cold") } };
    const stopped = await interrupt("early", 2, { ...cold, ...on(/reading data/, "SIGINT") });
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(existsSync(run("early"))).toBe(false);
  });

  test("is not caused by a reader who leaves: the run goes on to the same bits [T-B4]", async () => {
    const unread = await disturb("unread", 1, {
      onLine(line, _, leave) {
        if (/"step":1,/.test(line)) leave();
      },
    });
    expect(unread.code).toBe(0);
    expect(unread.stderr.match(/stdout cannot be written: its reader has left \(write EPIPE\)/g)).toHaveLength(1);
    expect(outcome("unread")).toEqual(whole);
  });

  test("prints how to resume as text too", async () => {
    const call = { cwd: folder, ...on(/starting workers/, "SIGINT") };
    const stopped = await zerogateHere(["train", ...flags, "--out", "text"], call);
    expect(stopped.code).toBe(130);
    expect(stopped.stdout).toMatch(
      /^Stopped after step \d; everything is saved\. Go on with:\n {2}zerogate resume \S+text\n$/,
    );
  });

  test("but cannot save says so instead of promising a checkpoint", async () => {
    const stopped = await interrupt("unsaved", 1, {
      onLine(line, send) {
        if (!/starting workers/.test(line)) return;
        writeFileSync(join(run("unsaved"), "checkpoints"), "a file where the folder belongs");
        send("SIGINT");
      },
    });
    expect(stopped).toMatchObject({ code: 1, stdout: "" });
    expect(stopped.stderr).toMatch(/checkpoints/);
  });

  test("a second time leaves at once", async () => {
    const patterns = [/starting workers/, /Once more to leave at once/];
    const interruptTwice: Pick<Call, "onLine"> = {
      onLine(line, send) {
        if (!patterns[0]?.test(line)) return;
        patterns.shift();
        send("SIGINT");
      },
    };
    const stopped = await disturb("twice", 1, interruptTwice, ["--validation-data", "data.json"]);
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(patterns).toEqual([]);
    expect(existsSync(join(run("twice"), "checkpoints"))).toBe(false);
    expect(await train("twice", 1)).toMatchObject({ code: 2, stdout: "" });
    const resumed = await resume("twice");
    expect(resumed.stderr).toContain("it starts again from its first step");
    expect(adapterHash(run("twice"))).toBe(adapterHash(run("whole"))); // it validates on other data, so only the bits count
  });
});

test("a run that is killed resumes from its last checkpoint to the same bits, each step once in the metrics [E2]", async () => {
  // An engine that dawdles: the checkpoint of step 2 is written in the background and must be there before the kill.
  const env = {
    ZEROGATE_CHAOS: JSON.stringify({ engine: { options: { threads: 1 }, delaySeed: 2 } }),
    NODE_OPTIONS: `--import ${new URL("chaos/preload.mjs", import.meta.url).href}`,
  };
  const killed = await disturb("killed", 2, { ...on(/"step":5,/, "SIGKILL"), env }, ["--save-every", "2"]);
  expect(killed.code).toBe(null);
  // The checkpoint of step 4 is written while step 5 is trained: it may have come too late.
  const folders = readdirSync(join(run("killed"), "checkpoints")).filter((name) => name.startsWith("step-"));
  const saved = Math.max(...folders.map((name) => Number(name.slice(5))));
  expect(saved).toBeOneOf([2, 4]);
  const resumed = await resume("killed");
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.json[0]?.["step"]).toBe(saved + 1);
  expect(outcome("killed")).toEqual(whole);
});

test("a finished run that is resumed stays as it is", async () => {
  const again = await resume("whole", 1);
  expect(again).toMatchObject({ code: 0 });
  expect(again.json).toMatchObject([{ event: "done", steps: 6 }]);
  expect(outcome("whole")).toEqual(whole);
});
