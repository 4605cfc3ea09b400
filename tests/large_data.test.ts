/** Runs whose tokens stay in the token cache: the same adapter as with all of them in memory. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, stepLosses, tinyRun, trainWords, validationLosses } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder, { "--val-fraction": "0.2", "--cache-dir": join(folder, "tokens") }).filter(
  (flag, i, all) => flag !== "--validation-data" && all[i - 1] !== "--validation-data",
);
const onDisk = ["--token-memory", "0"];

const outcome = (out: string) => {
  const run = join(folder, out);
  return { adapter: adapterHash(run), steps: stepLosses(run), validations: validationLosses(run) };
};
let inMemory: ReturnType<typeof outcome>;

beforeAll(async () => {
  const { code, stderr } = await zerogateHere(trainWords(flags, "memory", 2), { cwd: folder });
  expect(code, stderr).toBe(0);
  inMemory = outcome("memory");
});

test.each([
  { name: "by one worker", workers: 1, more: [] },
  { name: "by three", workers: 3, more: [] },
  { name: "by processes of their own", workers: 2, more: ["--isolate"] },
])(
  "$name, samples read from the token cache train the bits of memory [D-large-run]",
  async ({ name, workers, more }) => {
    const out = name.replaceAll(" ", "-");
    const words = trainWords(flags, out, workers, [...onDisk, ...more]);
    const { code, stderr } = await zerogateHere(words, { cwd: folder });
    expect(code, stderr).toBe(0);
    expect(outcome(out)).toEqual(inMemory);
  },
);

test("with a validation file of its own, and shared beginnings or not, tokens on disk change nothing [D-large-run]", async () => {
  const own = [...flags, "--validation-data", "held.json", "--no-shared-beginnings"];
  for (const [out, more] of [["own-memory", []] as const, ["own-disk", onDisk] as const]) {
    const { code, stderr } = await zerogateHere(trainWords(own, out, 2, more), { cwd: folder });
    expect(code, stderr).toBe(0);
  }
  expect(outcome("own-disk")).toEqual(outcome("own-memory"));
});

test("a token cache that is removed under a run ends it by name, and the run goes on to the same bits [D-large-removed]", async () => {
  const cache = join(folder, "gone");
  const words = trainWords([...flags, "--cache-dir", cache, "--save-every", "1"], "removed", 2, onDisk);
  const onLine = (line: string) => {
    if (line.includes('"step":2,')) rmSync(cache, { recursive: true, force: true });
  };
  const stopped = await zerogateHere(words, { cwd: folder, onLine });
  expect(stopped.code).toBe(2);
  expect(stopped.stderr).toContain(`Cannot read ${cache}`);
  const resumed = await zerogateHere(["resume", "removed", "--cache-dir", cache, "--json"], { cwd: folder });
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(outcome("removed").adapter).toBe(inMemory.adapter);
});
