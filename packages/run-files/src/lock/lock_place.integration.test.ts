import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openFilesUnder } from "../../../core/test/open_files.ts";
import { type OpenedLock, openedLock } from "./lock_place.ts";

let folder: string;
let run: string;
let opened: OpenedLock;
const lock = () => join(run, "lock-1");
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-place-"));
  run = join(folder, "run");
  mkdirSync(run);
  writeFileSync(lock(), "mine");
  opened = openedLock();
});
afterEach(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("a file is known by what it is: not a copy, not another in its place, not one that is gone [T-B9]", async () => {
  await opened.hold(lock());
  expect(await opened.isAt(lock())).toBe(true);
  copyFileSync(lock(), join(run, "copy"));
  expect(await opened.isAt(join(run, "copy"))).toBe(false);
  renameSync(join(run, "copy"), lock());
  expect(await opened.isAt(lock())).toBe(false);
  rmSync(lock());
  expect(await opened.isAt(lock())).toBe(false);
});

test("if nothing could be opened every place will do", async () => {
  expect(await opened.isAt(lock())).toBe(true);
  await opened.hold(join(run, "nowhere"));
  expect(await opened.isAt(lock())).toBe(true);
  expect(await opened.isAt(join(run, "nowhere"))).toBe(true);
  symlinkSync(lock(), join(run, "link")); // a link that somebody put there is not followed
  await opened.hold(join(run, "link"));
  rmSync(lock());
  writeFileSync(lock(), "another");
  expect(await opened.isAt(lock())).toBe(true);
  await opened.checkPlace(run);
});

test("after the end every place will do, and a second end closes no file of others", async () => {
  await opened.hold(lock());
  await opened.close();
  const others = [0, 1, 2].map(() => openSync(join(run, "lock-1"), "r")); // one of them gets the number that is free now
  await opened.close();
  for (const file of others) closeSync(file);
  expect(await opened.isAt(join(run, "nowhere"))).toBe(true);
});

test("a folder that was moved is refused with where it is now and what to type [T-B9]", async () => {
  await opened.hold(lock());
  const moved = join(folder, "moved");
  renameSync(run, moved);
  const where = process.platform === "linux" ? `, to ${moved}` : "";
  await expect(opened.checkPlace(run)).rejects.toThrow(
    `Cannot go on writing to the run ${run}: the folder was renamed or moved${where}, and nothing is written under its old name: resume it where it is now: `,
  );
});

test("a folder that was removed is not taken for one that was moved, also if the removal begins with a rename [T-B9]", async () => {
  await opened.hold(lock());
  const doomed = join(folder, "doomed");
  renameSync(run, doomed);
  setTimeout(() => rmSync(doomed, { recursive: true }), 150);
  await expect(opened.checkPlace(run)).resolves.toBeUndefined();
});

test.skipIf(process.platform !== "linux")(
  "one file is kept open, the last, and none after the end (skipped: Linux only)",
  async () => {
    await opened.hold(lock());
    writeFileSync(join(run, "lock-2"), "mine too");
    await opened.hold(join(run, "lock-2"));
    expect(openFilesUnder(run)).toEqual([join(run, "lock-2")]);
    expect(await opened.isAt(join(run, "lock-2"))).toBe(true);
    expect(await opened.isAt(lock())).toBe(false);
    await opened.close();
    expect(openFilesUnder(run)).toEqual([]);
    await opened.close();
  },
);
