/** What is no regular file is named, and nothing waits for the other end of a pipe. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { openFilesUnder } from "../../test/open_files.ts";
import { describeFileAt } from "./described_file.ts";
import { hashFile } from "./hash.ts";
import { openRegularFile, readFully, readRegularFile, readRegularFileSync } from "./regular_file.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-regular-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [pipe, file] = [join(folder, "pipe"), join(folder, "file")];
if (process.platform !== "win32") execFileSync("mkfifo", [pipe]);
writeFileSync(file, "12345");

const asPromise = async (path: string, maxBytes?: number) => readRegularFileSync(path, maxBytes);

test.skipIf(process.platform === "win32").each([
  ["readRegularFile", readRegularFile],
  ["readRegularFileSync", asPromise],
  ["hashFile", (path: string) => hashFile(path)],
])("%s refuses a pipe that nobody writes to, a device and a folder [T-B11]", async (_, read) => {
  await expect(read(pipe)).rejects.toThrow(
    `Cannot read ${pipe}: it is a pipe, needed is a regular file: save what comes out of it to a file first`,
  );
  await expect(read("/dev/zero")).rejects.toThrow("Cannot read /dev/zero: it is a device, needed is a regular file");
  await expect(read(folder)).rejects.toThrow("it is a folder, needed is a");
  await expect(read(join(folder, "none"))).rejects.toThrow("there is no such file");
});

test.each([
  ["readRegularFile", readRegularFile],
  ["readRegularFileSync", asPromise],
])("%s reads a file of at most the size that is allowed", async (_, read) => {
  expect(String(await read(file, 5))).toBe("12345");
  await expect(read(file, 4)).rejects.toThrow(`Cannot read ${file}: it has 5 bytes, at most 4 are allowed`);
});

test("readFully reads on if a read call gave less than it was asked for, and says where a file ends early", async () => {
  const handle = await openRegularFile(file);
  onTestFinished(() => handle.close());
  // The system may return any number of bytes, over 2 GiB always fewer.
  const short = {
    read: (into: Uint8Array, at: number, length: number, position: number) =>
      handle.read(into, at, Math.min(length, 2), position),
  } as unknown as FileHandle;
  const into = new Uint8Array(4);
  await readFully({ path: file, handle: short }, into, 1);
  expect(String(Buffer.from(into))).toBe("2345");
  await expect(readFully({ path: file, handle: short }, into, 2)).rejects.toThrow(
    `Cannot read ${file}: it ends at byte 5, it was longer when opened`,
  );
});

test.skipIf(process.platform !== "linux")("what was opened is closed again, also if it is refused", async () => {
  for (let i = 0; i < 50; i++) {
    await readRegularFile(file);
    await readRegularFile(file, 4).catch(() => {});
    await readRegularFile(folder).catch(() => {});
    await describeFileAt(file);
    await describeFileAt(folder);
    await asPromise(file, 4).catch(() => {});
    expect(openFilesUnder(folder)).toEqual([]);
  }
});
