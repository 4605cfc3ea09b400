/** Ways of losing a device that take seconds each: silence, memory, native code, signals. The others: survival.integration.test.ts. */
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { open, until } from "../test/faulty_pool.ts";
import { containerTests, expected, isAlive, isolate, lose, silence, startProgram } from "../test/lost_device.ts";

describe("a thread that is lost by", () => {
  test.each([
    { kind: "hang", reason: silence, last: /^step 4 cell 1, read \(operation \d+\)$/ },
    { kind: "endless-loop", reason: silence, last: /^step 4 cell 1, embed \(operation \d+\)$/ },
    { kind: "heap", reason: /memory limit/, last: /^step 4 cell 1, embed \(operation \d+\)$/ },
  ])("$kind is named with its last operation and replaced", async ({ kind, reason, last }) => {
    const died = await lose(kind, kind === "heap" ? { patienceMs: 20_000 } : {});
    expect(died?.reason).toMatch(reason);
    expect(died?.lastOperation).toMatch(last);
  });

  test("being stuck in native code is replaced, and the process that holds it still ends, by SIGKILL", async () => {
    // In a process of its own, because nothing but the end of that process ends the thread.
    const begin = performance.now();
    const { child } = startProgram("stuck-in-native-code");
    let told = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      told += text;
    });
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    expect({ code, signal }).toEqual({ code: null, signal: "SIGKILL" });
    expect(performance.now() - begin).toBeLessThan(9000); // the thread is stuck for 10 s
    const { reasons, sums } = JSON.parse(told) as { reasons: string[]; sums: number[] };
    expect(Int32Array.from(sums)).toEqual(expected);
    expect(reasons).toMatchObject([expect.stringMatching(silence)]);
  });
});

describe("a process that is lost by", () => {
  test.each([
    { kind: "async-throw", reason: /^outside of a call$/ },
    { kind: "hang", reason: silence },
    { kind: "endless-loop", reason: silence },
    { kind: "stuck-in-native-code", reason: silence },
    { kind: "SIGSEGV", reason: /^its process was ended by SIGSEGV; it wrote: about to get SIGSEGV$/ },
    { kind: "SIGSTOP", reason: silence },
  ])("$kind is named with its last operation and replaced", async ({ kind, reason }) => {
    const died = await lose(kind, { isolate });
    expect(died?.reason).toMatch(reason);
    expect(died?.lastOperation).toMatch(/^step 4 cell 1\b/);
  });
});

test.skipIf(!existsSync("/proc/self/ns"))(
  "a process that is stopped while its parent is killed stays, until the next pool is opened (skipped without /proc)",
  async () => {
    const { child, folder } = startProgram("endless-loop", { isolate, patienceMs: 0 });
    const note = join(folder, "looping");
    await until(() => existsSync(note) && readFileSync(note, "utf8") !== "");
    const stopped = Number(readFileSync(note, "utf8"));
    process.kill(stopped, "SIGSTOP");
    await until(() => readFileSync(`/proc/${stopped}/stat`, "latin1").includes(") T "));
    await open(1); // not an orphan yet
    expect(isAlive(stopped)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(() => !readFileSync(`/proc/${stopped}/stat`, "latin1").includes(`) T ${child.pid} `));
    expect(isAlive(stopped)).toBe(true);
    await open(1);
    await until(() => !isAlive(stopped));
  },
);

describe("a thread", () => {
  containerTests({});
});

describe("a process", () => {
  containerTests({ isolate });
});
