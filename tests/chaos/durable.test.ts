/** What each operation of core's durable files promises, held against every state that a power cut may leave. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { publishDirectory, writeFileAtomic } from "../../packages/core/src/node/atomic.ts";
import { makeFolder, moveEntry, removeEntry, syncFolder, writeNewFile } from "../../packages/core/src/node/durable.ts";
import { testFolder } from "../support/cli.ts";
import { createDisk, type FileOperation, waysToCut } from "./disk_model.ts";

interface FileOperationsModule {
  aroundFileOperations(root: string, around: (operation: FileOperation, run: () => unknown) => unknown): Promise<void>;
}

const file = new URL("file_operations.mjs", import.meta.url).href;
const { aroundFileOperations } = (await import(file)) as FileOperationsModule;
const root = join(testFolder(), "disk");
let operations: FileOperation[] = [];

beforeAll(async () => {
  mkdirSync(root);
  await aroundFileOperations(root, (operation, run) => {
    const done = run();
    if (!(done instanceof Promise)) {
      operations.push(operation);
      return done;
    }
    return done.then((result: unknown) => {
      operations.push(operation);
      return result;
    });
  });
});

/** Trees of the disk as they may be after a cut, each as JSON of its texts by path. */
type Trees = ReadonlySet<string>;

const treeOf = (files: Readonly<Record<string, string>>) =>
  JSON.stringify(Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** What may be left while `work` is done, and once it has returned. Each call begins in a folder of its own. */
async function cutsOf(
  prepare: (folder: string) => Promise<void>,
  work: (folder: string) => Promise<void>,
): Promise<{ meanwhile: Trees; after: Trees }> {
  operations = [];
  const folder = join(root, `case-${Math.random().toString(36).slice(2)}`);
  mkdirSync(folder);
  await prepare(folder);
  await syncFolder(root);
  const prepared = operations.length;
  await work(folder);
  const disk = createDisk(root);
  const meanwhile = new Set<string>();
  let after = new Set<string>();
  for (const [at, operation] of operations.entries()) {
    disk.apply(operation);
    if (at < prepared - 1) continue;
    after = new Set();
    for (const { keepsName, variant } of waysToCut(disk.uncertain(), 64, at)) {
      const prefix = folder.slice(root.length);
      const tree = [...disk.cut(keepsName, variant)].flatMap(([path, bytes]) =>
        path.startsWith(prefix) ? [[path.slice(prefix.length + 1), bytes.toString()] as const] : [],
      );
      const text = treeOf(Object.fromEntries(tree.map(([path, content]) => [withoutRandomNames(path), content])));
      meanwhile.add(text);
      after.add(text);
    }
  }
  return { meanwhile, after };
}

const withoutRandomNames = (path: string) => path.replaceAll(/\.\d+\.[0-9a-f]{12}\.tmp/g, ".tmp");
const isThere = (trees: Trees, name: string, text: string) =>
  [...trees].every((tree) => new Map(JSON.parse(tree) as [string, string][]).get(name) === text);
const durableFile = async (folder: string, name: string, text: string) => {
  await writeNewFile(join(folder, name), text);
  await syncFolder(folder);
};

test("writeFileAtomic: the old bytes or the new ones meanwhile, the new ones afterwards [T-E1]", async () => {
  const { meanwhile, after } = await cutsOf(
    (folder) => durableFile(folder, "x", "old"),
    (folder) => writeFileAtomic(join(folder, "x"), "new and longer"),
  );
  expect(isThere(after, "x", "new and longer")).toBe(true);
  const texts = [...meanwhile].map((tree) => new Map(JSON.parse(tree) as [string, string][]).get("x"));
  expect(new Set(texts)).toEqual(new Set(["old", "new and longer"]));
});

test("writeFileAtomic: a new file is there afterwards [T-E1]", async () => {
  const { after } = await cutsOf(
    async () => {},
    (folder) => writeFileAtomic(join(folder, "x"), "new"),
  );
  expect([...after]).toEqual([treeOf({ x: "new" })]);
});

test("publishDirectory: nothing or all of it meanwhile, all of it afterwards [T-E1]", async () => {
  const { meanwhile, after } = await cutsOf(
    async () => {},
    (folder) =>
      publishDirectory(join(folder, "out"), async (at) => {
        await writeNewFile(join(at, "a"), "A");
        await makeFolder(join(at, "sub"));
        await writeNewFile(join(at, "sub", "b"), "B");
      }),
  );
  expect(after.size).toBe(1);
  expect(isThere(after, "out/a", "A") && isThere(after, "out/sub/b", "B")).toBe(true);
  const published = [...meanwhile].map((tree) => {
    const files = JSON.parse(tree) as [string, string][];
    return files
      .flatMap(([name, text]) => (name.startsWith("out/") && !name.endsWith("manifest.json") ? [text] : []))
      .join();
  });
  expect(new Set(published)).toEqual(new Set(["", "A,B"]));
});

test("makeFolder: all folders that were made are there afterwards [T-E1]", async () => {
  const { after } = await cutsOf(
    async () => {},
    (folder) => makeFolder(join(folder, "a", "b", "c")),
  );
  expect([...after]).toEqual([treeOf({ "a/b/c/": "" })]);
});

test.each([
  ["in one folder", "x", "y"],
  ["into another folder", "from/x", "to/x"],
])("moveEntry %s: under one of its names meanwhile, under the new one afterwards [T-E1]", async (_, from, to) => {
  const { meanwhile, after } = await cutsOf(
    async (folder) => {
      await makeFolder(join(folder, "from"));
      await makeFolder(join(folder, "to"));
      await durableFile(join(folder, from, ".."), "x", "text");
    },
    (folder) => moveEntry(join(folder, from), join(folder, to)),
  );
  const places = (trees: Trees) =>
    new Set([...trees].map((tree) => JSON.stringify([from, to].map((name) => tree.includes(`"${name}"`)))));
  expect(places(after)).toEqual(new Set(["[false,true]"]));
  expect(places(meanwhile)).toEqual(new Set(["[true,false]", "[false,true]"]));
});

test("a folder that is moved away before it is removed is whole under its name or not there", async () => {
  const { meanwhile } = await cutsOf(
    async (folder) => {
      await makeFolder(join(folder, "old"));
      for (const name of ["a", "b", "c"]) await durableFile(join(folder, "old"), name, name);
    },
    async (folder) => {
      await moveEntry(join(folder, "old"), join(folder, ".old.tmp"));
      await removeEntry(join(folder, ".old.tmp"));
    },
  );
  const whole = [...meanwhile].map((tree) => [...tree.matchAll(/"old\/[abc]"/g)].length);
  expect(new Set(whole)).toEqual(new Set([0, 3]));
});
