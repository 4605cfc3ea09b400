import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockRun } from "./lock.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-lock-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const record = (file: string) => JSON.parse(readFileSync(join(run, file), "utf8")) as Record<string, unknown>;
/** So that no test waits long for a lock of another host. */
const soon = { everyMs: 20, deadAfterMs: 400 };
const never = (sentence: string) => {
  throw new Error(`not expected: ${sentence}`);
};

/** The lock of this process, changed into that of another. */
async function leaveLock(changes: Record<string, unknown>): Promise<void> {
  const lock = await lockRun(run, never);
  const own = record("lock-1");
  await lock.release();
  rmSync(join(run, "lock-1.free"));
  writeFileSync(join(run, "lock-1"), JSON.stringify({ ...own, ...changes }));
}

test("a run has one writer, which is named to the second, and the next one comes when it has ended", async () => {
  const lock = await lockRun(run, never);
  expect(record("lock-1")).toMatchObject({ pid: process.pid });
  await expect(lockRun(run, never)).rejects.toThrow(
    new RegExp(`^Cannot write to the run ${run}: process ${process.pid} on \\S+, since \\S+, is writing to it`),
  );
  await lock.release();
  expect(readdirSync(run)).toEqual(["lock-1.free"]);
  await (await lockRun(run, never)).release();
  expect(readdirSync(run)).toEqual(["lock-2.free"]);
});

test.each([
  ["a process that no longer runs", { pid: 2 ** 22 - 1 }],
  ["a process whose number was given out again", { startTime: "1" }],
  ["an earlier start of the machine", { boot: "11111111-2222-3333-4444-555555555555 " }],
])("the lock of %s is explained and taken over", async (_, changes) => {
  await leaveLock(changes);
  const sentences: string[] = [];
  const lock = await lockRun(run, (sentence) => sentences.push(sentence));
  expect(sentences).toHaveLength(1);
  expect(sentences[0]).toMatch(/^process \d+ on \S+, since \S+, was writing to this run .*: taken over$/);
  expect(readdirSync(run)).toEqual(["lock-2", "lock-2.beat"]);
  await lock.release();
});

test("the lock of another machine that has no heartbeat is refused, with the way out", async () => {
  await leaveLock({ host: "elsewhere" });
  await expect(lockRun(run, never, soon)).rejects.toThrow(
    `may be writing to it, which cannot be seen from here: if it no longer runs, remove ${join(run, "lock-1")}`,
  );
});

test("a lock that is no lock is taken over, an empty one after a while", async () => {
  writeFileSync(join(run, "lock-3"), "{");
  const lock = await lockRun(run, () => {});
  await lock.release();
  writeFileSync(join(run, "lock-5"), "");
  await (await lockRun(run, () => {})).release();
  expect(readdirSync(run)).toEqual(["lock-6.free"]);
});

test("a changed bit or a cut anywhere in a lock never leaves two writers, and a takeover is reported", async () => {
  const first = await lockRun(run, never);
  const bytes = readFileSync(join(run, "lock-1"));
  for (let at = 1; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
    for (const damaged of [flipped, bytes.subarray(0, at)]) {
      for (const name of readdirSync(run)) rmSync(join(run, name));
      writeFileSync(join(run, "lock-1"), damaged);
      const sentences: string[] = [];
      const second = await lockRun(run, (sentence) => sentences.push(sentence), soon).catch((error: unknown) => error);
      if (second instanceof InputError) continue; // somebody may be writing
      expect(sentences).toHaveLength(1);
      await expect(first.confirm(), `byte ${at}`).rejects.toThrow("is writing to it: this process");
    }
  }
});

test("a lock that vanished is made again once, however many ask for it at the same time", async () => {
  const lock = await lockRun(run, () => {});
  for (let round = 0; round < 5; round++) {
    rmSync(run, { recursive: true });
    await Promise.all([lock.confirm(), lock.check(), lock.confirm(), lock.check()]);
    await lock.confirm();
    expect(readdirSync(run).filter((name) => !name.endsWith(".beat"))).toEqual(["lock-1"]);
  }
  await lock.release();
});

test("a step that asks in the middle of a removal does not take the lock that a save then makes again for a moved one", async () => {
  const lock = await lockRun(run, () => {});
  const aside = `${run}.aside`;
  renameSync(run, aside); // a removal may begin with a rename
  const step = lock.check();
  await sleep(50);
  rmSync(aside, { recursive: true });
  await lock.confirm();
  await step;
  expect(readdirSync(run).filter((name) => !name.endsWith(".beat"))).toEqual(["lock-1"]);
  await lock.release();
});

test("a run that was moved does not begin again in another folder of its old name, whoever wrote there last [T-B9]", async () => {
  const lock = await lockRun(run, () => {});
  const moved = `${run}.moved`;
  renameSync(run, moved);
  mkdirSync(run);
  const dead = { ...(JSON.parse(readFileSync(join(moved, "lock-1"), "utf8")) as object), pid: 2 ** 22 + 1 };
  writeFileSync(join(run, "lock-1"), `${JSON.stringify(dead)}\n`);
  await expect(lock.confirm()).rejects.toThrow("the folder was renamed or moved");
  expect(readdirSync(run)).toEqual(["lock-1"]);
  rmSync(moved, { recursive: true });
  await lock.release();
});

test("a lock that vanished with its folder is made again, one that was lost to another process is not", async () => {
  const lock = await lockRun(run, never, soon);
  rmSync(run, { recursive: true });
  await lock.confirm();
  expect(readdirSync(run)).toEqual(["lock-1", "lock-1.beat"]);
  const other = { ...record("lock-1"), host: "elsewhere" };
  writeFileSync(join(run, "lock-2"), JSON.stringify(other));
  await expect(lock.confirm()).rejects.toThrow("elsewhere");
});

test("a step that is checked while the folder is gone goes on and makes nothing: only a save makes it again [T-E5]", async () => {
  const lock = await lockRun(run, never, soon);
  rmSync(run, { recursive: true });
  await lock.check();
  expect(existsSync(run)).toBe(false);
  writeFileSync(run, "in its place"); // as a disk that refuses
  await lock.check();
  rmSync(run);
});

test("a step that is checked after another process took the run over is refused, with its name [T-E5]", async () => {
  const lock = await lockRun(run, never, soon);
  await lock.check();
  const other = JSON.stringify({ ...record("lock-1"), host: "elsewhere" });
  rmSync(join(run, "lock-1"));
  await lock.check(); // nobody else is there
  writeFileSync(join(run, "lock-2"), other);
  await expect(lock.check()).rejects.toThrow(/elsewhere, since \S+, is writing to it: this process did not answer/);
});

/** Makes the file system refuse what only some can do. */
function withoutLinks(code: string): () => void {
  const { link } = promises;
  const change = (to: typeof link) => {
    promises.link = to;
    syncBuiltinESMExports();
  };
  change(() => Promise.reject(Object.assign(new Error(`${code}: operation not permitted`), { code })));
  return () => change(link);
}

test.each(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"])(
  "a file system that answers %s to a hard link gets a lock as well, and one writer",
  async (code) => {
    const restore = withoutLinks(code);
    try {
      const lock = await lockRun(run, never);
      expect(record("lock-1")).toMatchObject({ pid: process.pid });
      await expect(lockRun(run, never)).rejects.toThrow("is writing to it");
      await lock.release();
      expect(readdirSync(run)).toEqual(["lock-1.free"]);
    } finally {
      restore();
    }
  },
);

test("another fault of the disk while a lock is made is reported, and nothing is left", async () => {
  const restore = withoutLinks("EIO");
  try {
    await expect(lockRun(run, never)).rejects.toThrow("EIO");
    expect(readdirSync(run)).toEqual([]);
  } finally {
    restore();
  }
});

test("a lock of the same number that another process made in the folder's place is neither taken for one's own nor freed", async () => {
  const lock = await lockRun(run, never, soon);
  const other = JSON.stringify({ ...record("lock-1"), host: "elsewhere" });
  rmSync(run, { recursive: true });
  mkdirSync(run);
  writeFileSync(join(run, "lock-1"), other);
  await expect(lock.confirm()).rejects.toThrow("elsewhere");
  await lock.release();
  expect(readFileSync(join(run, "lock-1"), "utf8")).toBe(other);
});

test("of many that start at once on a stale lock exactly one wins, again and again", async () => {
  const contender = fileURLToPath(new URL("../../test/lock_contender.mjs", import.meta.url));
  await leaveLock({ pid: 2 ** 22 - 1 });
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, [contender, run, "25"], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  const outputs = await Promise.all(
    children.map(async (child) => {
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
      const [code] = (await once(child, "close")) as [number];
      return { code, wins: Number(text) };
    }),
  );
  // A contender fails if it finds somebody else in the run while it holds the lock.
  expect(outputs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(outputs.reduce((sum, { wins }) => sum + wins, 0)).toBeGreaterThan(5);
});
