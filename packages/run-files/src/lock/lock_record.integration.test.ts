import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ownRecord, processStart, readRecord } from "./lock_record.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-record-"));
  path = join(folder, "lock-1");
});
afterEach(() => rmSync(folder, { recursive: true }));
const record = { pid: 12, startTime: "3", host: "here", boot: "b n", since: "now" };

test("a lock says its process; one that is gone says nothing, not even a text", async () => {
  expect(await readRecord(path)).toEqual({ text: undefined, record: undefined });
  writeFileSync(path, JSON.stringify(record));
  expect(await readRecord(path)).toEqual({ text: JSON.stringify(record), record });
});

test.each([
  "{",
  "null",
  JSON.stringify({ ...record, pid: 0 }),
  JSON.stringify({ ...record, pid: 1.5 }),
  JSON.stringify({ ...record, more: 1 }),
  JSON.stringify({ ...record, host: undefined }),
])("the text %s is no record", async (text) => {
  writeFileSync(path, text);
  expect(await readRecord(path)).toEqual({ text, record: undefined });
});

test("the first process of a container has a number as well", async () => {
  writeFileSync(path, JSON.stringify({ ...record, pid: 1 }));
  expect((await readRecord(path)).record?.pid).toBe(1);
});

test("a lock that is being written is waited for, an empty one that stays so is no lock", async () => {
  writeFileSync(path, "");
  setTimeout(() => writeFileSync(path, JSON.stringify(record)), 60);
  expect((await readRecord(path)).record).toEqual(record);
  writeFileSync(path, "");
  const begin = performance.now();
  expect(await readRecord(path)).toEqual({ text: "", record: undefined });
  expect(performance.now() - begin).toBeGreaterThan(1900);
});

test("any other error of the disk is reported", async () => {
  await expect(readRecord(folder)).rejects.toThrow("EISDIR");
});

test("a process names itself by number, host, time and start of the machine", async () => {
  const own = await ownRecord();
  expect(own).toMatchObject({ pid: process.pid, host: hostname(), startTime: processStart(process.pid) });
  expect(Math.abs(Date.parse(own.since) - Date.now())).toBeLessThan(600_000);
});

test.skipIf(process.platform !== "linux")(
  "a process began once: its start is that of the system, for any name (skipped: Linux only)",
  async () => {
    const child = spawn("sh", ["-c", "read line"], { stdio: ["pipe", "ignore", "ignore"] });
    try {
      const pid = child.pid ?? 0;
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      expect(processStart(pid)).toBe(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
      expect(Number(processStart(pid))).toBeGreaterThan(Number(processStart(1)));
      expect(processStart(pid)).not.toBe(processStart(process.pid));
      const ended = once(child, "close");
      child.stdin.end();
      await ended;
      expect(processStart(pid)).toBeUndefined();
    } finally {
      child.kill("SIGKILL");
    }
  },
);

test.skipIf(process.platform !== "linux")(
  "a process that ended and is not waited for is dead (skipped: Linux only)",
  async () => {
    // The shell becomes a program that waits for none of its children.
    const child = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const [said] = (await once(child.stdout, "data")) as [Buffer];
      const pid = Number(said.toString());
      const state = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0];
      while (state() !== "Z") await new Promise((resolve) => setTimeout(resolve, 5));
      expect(processStart(pid)).toBeUndefined();
    } finally {
      child.kill("SIGKILL");
    }
  },
);

test.skipIf(process.platform !== "linux")(
  "a process names the start of the machine and its own container (skipped: Linux only)",
  async () => {
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = execFileSync("readlink", [`/proc/${process.pid}/ns/pid`], { encoding: "utf8" }).trim();
    expect((await ownRecord()).boot).toBe(`${bootId} ${namespace}`);
  },
);
