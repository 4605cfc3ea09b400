/** Which processes are ended as what a killed coordinator left: shells that wait, with words like those of a device's process. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { open } from "../test/faulty_pool.ts";
import { builtFile } from "./built_file.ts";
import { endStoppedOrphans } from "./orphans.ts";

const PROGRAM = "/nowhere/zerogate-orphans-test.js";
let children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
});

const statOf = (pid: number) => {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

/** A shell that waits, and stands still if `isStopped`; its number. */
async function waiting(words: string[], isStopped: boolean, before: string[] = []): Promise<number> {
  const [command = "sh", ...more] = [...before, "sh", "-c", "read line", ...words];
  const child = spawn(command, more, { stdio: ["pipe", "ignore", "ignore"] });
  children.push(child);
  let pid = child.pid ?? 0;
  if (before.length > 0) {
    const childrenOf = `/proc/${pid}/task/${pid}/children`;
    await until(() => readFileSync(childrenOf, "utf8").trim() !== "");
    pid = Number(readFileSync(childrenOf, "utf8").trim().split(" ")[0]);
  }
  await until(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] === "sh");
  if (isStopped) process.kill(pid, "SIGSTOP");
  if (isStopped) await until(() => statOf(pid) === "T");
  return pid;
}

const isDead = (pid: number) => {
  try {
    return ["Z", "X"].includes(statOf(pid));
  } catch {
    return true;
  }
};
const canUnshare = (() => {
  try {
    execFileSync("unshare", ["--pid", "--fork", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!existsSync("/proc/self/ns"))("of the processes of this machine (skipped without /proc)", () => {
  test("those are ended that run the program, are stopped, and are no child of the one that they name", async () => {
    const orphan = await waiting([PROGRAM, "100", "1"], true);
    const others = [
      await waiting([PROGRAM, "100", "1"], false),
      await waiting([PROGRAM, "100", String(process.pid)], true),
      await waiting([`${PROGRAM}x`, "100", "1"], true),
    ];
    endStoppedOrphans(PROGRAM);
    await until(() => isDead(orphan));
    await sleep(50);
    expect(others.map(isDead)).toEqual([false, false, false]);
  });

  test("a pool that opens ends those of its own program, of a coordinator that is gone", async () => {
    const left = await waiting([fileURLToPath(builtFile("process_worker")), "100", "1"], true);
    await open(1);
    await until(() => isDead(left));
    expect(isDead(left)).toBe(true);
  });

  test.skipIf(!canUnshare)("those of another namespace stay (skipped without unshare)", async () => {
    const inside = await waiting([PROGRAM, "100", "77"], true, ["unshare", "--pid", "--fork", "--kill-child"]);
    endStoppedOrphans(PROGRAM);
    await sleep(50);
    expect(isDead(inside)).toBe(false);
  });
});
