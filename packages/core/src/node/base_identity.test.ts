import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { baseHash, baseStamp, cachedBaseHash } from "./base_identity.ts";

let scratch: string;
let cache: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-base-"));
  cache = join(scratch, "cache");
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(scratch, { recursive: true });
});

/** A folder with a base whose weights are these bytes; they are not read as numbers here. */
async function baseOf(name: string, weights: string, config = "{}"): Promise<string> {
  const folder = join(scratch, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), config);
  await writeFile(join(folder, "model.safetensors"), weights);
  return folder;
}
/** Only the clock: the files were changed long ago then. */
const later = () => vi.setSystemTime(Date.now() + 60_000);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

test("baseHash changes with config and weights, not with the folder's name or other files", async () => {
  const first = await baseOf("first", "numbers");
  const hash = await baseHash(first);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(await baseHash(await baseOf("second", "numbers"))).toBe(hash);
  expect(await baseHash(await baseOf("third", "numbers", "[]"))).not.toBe(hash);
  expect(await baseHash(await baseOf("fourth", "Numbers"))).not.toBe(hash);
  await writeFile(join(first, "README.md"), "hi");
  expect(await baseHash(first)).toBe(hash);
});

test("the cached hash is that of the files, before and after one of them changes", async () => {
  const folder = await baseOf("base", "numbers");
  later();
  for (const weights of ["numbers", "Numbers"]) {
    await writeFile(join(folder, "model.safetensors"), weights);
    const hash = await baseHash(folder);
    expect(await cachedBaseHash(folder, cache)).toBe(hash);
    expect(await cachedBaseHash(folder, cache)).toBe(hash);
  }
  expect(await readdir(cache)).toHaveLength(2);
});

test("a hash is taken from the cache under the files' stamp, and damage of its file is seen", async () => {
  const folder = await baseOf("base", "numbers");
  later();
  const hash = await cachedBaseHash(folder, cache);
  const path = join(cache, `base-${sha256(await baseStamp(folder))}`);
  const entry = await readFile(path, "utf8");
  expect(entry).toBe(`${hash}\n${sha256(`${hash}\n${await baseStamp(folder)}`)}\n`);

  const other = sha256("another base");
  await writeFile(path, `${other}\n${sha256(`${other}\n${await baseStamp(folder)}`)}\n`);
  expect(await cachedBaseHash(folder, cache)).toBe(other);
  for (const damaged of ["", hash, entry.slice(0, -1), entry.replace(hash, other), `${entry}\n`]) {
    await writeFile(path, damaged);
    expect(await cachedBaseHash(folder, cache)).toBe(hash);
    expect(await readFile(path, "utf8")).toBe(entry);
  }
});

test("files that have just changed are hashed each time, and a cache that cannot be written does no harm", async () => {
  const folder = await baseOf("base", "numbers");
  const hash = await baseHash(folder);
  expect(await cachedBaseHash(folder, cache)).toBe(hash);
  await expect(readdir(cache)).rejects.toMatchObject({ code: "ENOENT" });
  later();
  await writeFile(cache, "a file where a folder should be");
  expect(await cachedBaseHash(folder, cache)).toBe(hash);
});

test("one file that has just changed is enough for the hash not to be kept", async () => {
  const folder = await baseOf("base", "numbers");
  const { ctimeMs } = await stat(join(folder, "model.safetensors"));
  await sleep(200);
  await writeFile(join(folder, "config.json"), "[]");
  vi.setSystemTime(ctimeMs + 10_100); // the weights have settled by now, the config has not
  await cachedBaseHash(folder, cache);
  await expect(readdir(cache)).rejects.toMatchObject({ code: "ENOENT" });
});

test.skipIf(process.platform === "win32")(
  "a pipe in the cache is not waited for, and is replaced [T-B11]",
  async () => {
    const folder = await baseOf("base", "numbers");
    const path = join(cache, `base-${sha256(await baseStamp(folder))}`);
    await mkdir(cache);
    execFileSync("mkfifo", [path]);
    later();
    const hash = await baseHash(folder);
    expect(await cachedBaseHash(folder, cache)).toBe(hash);
    expect(await readFile(path, "utf8")).toMatch(hash);
  },
);
