import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveConfig, versions } from "@zerogate/run-config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkFolderIsFree, createRunFolder, readRunConfig, readStoredConfig, writeRunConfig } from "./run_folder.ts";

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-folder-"));
  out = join(folder, "run");
});
afterEach(() => rmSync(folder, { recursive: true }));
const config = () =>
  resolveConfig({ flags: { model: "m", data: ["d"], out, cacheDir: join(folder, "cache"), lr: "0.5" } });

test.each<[what: string, prepare: () => void, says: string]>([
  ["nothing is there", () => {}, "free"],
  ["an empty folder is there", () => mkdirSync(out), "free"],
  [
    "a start that was cut short left its lock",
    () => {
      mkdirSync(out);
      for (const name of ["lock-1", "lock-1.beat", "lock-2.free", ".lock-3.7.ab.tmp"])
        writeFileSync(join(out, name), "");
    },
    "free",
  ],
  ["a file is there", () => writeFileSync(out, ""), "run is a file: choose another"],
  [
    "a run is there",
    () => {
      mkdirSync(out);
      for (const name of ["config.json", "lock-1"]) writeFileSync(join(out, name), "");
    },
    "it holds a run: ",
  ],
  [
    "something else is there beside a lock",
    () => {
      mkdirSync(out);
      for (const name of ["notes.txt", "lock-1"]) writeFileSync(join(out, name), "");
    },
    "it is not empty: choose another folder",
  ],
  [
    "a link leads out of it",
    () => {
      mkdirSync(out);
      symlinkSync(folder, join(out, "lock-1"));
    },
    "lock-1 is a link that leads out",
  ],
  [
    "it would lie below a file",
    () => {
      writeFileSync(join(folder, "file"), "");
      out = join(folder, "file", "run");
    },
    "choose another",
  ],
])("a place for a run if %s is judged before any work", async (_, prepare, says) => {
  prepare();
  const found = await checkFolderIsFree(out).then(
    () => "free",
    (error: unknown) => (error as Error).message,
  );
  expect(found).toContain(says);
});

test("a run's folder begins with its config, whole and with the version that wrote it, as people read it", async () => {
  out = join(folder, "a", "b");
  await createRunFolder(config());
  const text = readFileSync(join(out, "config.json"), "utf8");
  const { zerogateVersion: _, ...stored } = JSON.parse(text) as Record<string, unknown>;
  expect(text).toBe(`${JSON.stringify(JSON.parse(text), null, 2)}\n`);
  expect(JSON.stringify(Object.values(JSON.parse(text) as object)[0])).toBe(JSON.stringify(versions.zerogate));
  expect(stored).toMatchObject({ lr: 0.5, out });
  expect(await readStoredConfig(out)).toEqual(config());
});

test("a stored config is taken with the flags on top, where it lies now, and without its folder of the cache", async () => {
  await createRunFolder(config());
  const moved = join(folder, "moved");
  mkdirSync(moved);
  writeFileSync(join(moved, "config.json"), readFileSync(join(out, "config.json")));
  expect(await readRunConfig(moved, {})).toMatchObject({ out: moved, cacheDir: undefined, lr: 0.5 });
  expect(await readRunConfig(moved, { lr: "0.25", cacheDir: "here" })).toMatchObject({
    lr: 0.25,
    cacheDir: expect.stringMatching(/here$/),
  });
  expect((await readStoredConfig(moved)).cacheDir).toBe(join(folder, "cache"));
  await writeRunConfig(moved, { ...config(), lr: 0.125 });
  expect((await readStoredConfig(moved)).lr).toBe(0.125);
});

test("a folder without a run, and one with a link that leads out, are refused before its config is read", async () => {
  await expect(readRunConfig(out, {})).rejects.toThrow(
    `Cannot use the run ${out}: there is no config.json in it: name the`,
  );
  mkdirSync(out);
  writeFileSync(join(out, "config.json"), "{");
  symlinkSync(folder, join(out, "adapter"));
  await expect(readRunConfig(out, {})).rejects.toThrow("adapter is a link that leads out");
  expect(existsSync(join(out, "config.json"))).toBe(true);
});
