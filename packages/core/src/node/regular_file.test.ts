/** What is no regular file is named, and nothing waits for the other end of a pipe. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { hashFile } from "./hash.ts";
import { readRegularFile, readRegularFileSync } from "./regular_file.ts";

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
