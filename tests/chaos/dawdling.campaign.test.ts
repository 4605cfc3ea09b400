/** Workers whose kernels and threads take random time, and so do their cells in another order, train the same bits. */
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { adapterHash, stepLosses, tinyRun, validationLosses } from "../support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const train = (out: string, workers: number, more: string[] = [], env = {}) =>
  zerogate(["train", ...flags, "--out", out, "--workers", String(workers), "--json", ...more], { cwd: folder, env });
const outcome = (out: string) => ({
  adapter: adapterHash(join(folder, out)),
  steps: stepLosses(join(folder, out)),
  validations: validationLosses(join(folder, out)),
});

beforeAll(async () => {
  expect(await train("whole", 2)).toMatchObject({ code: 0 });
});

test.each([
  { workers: 1, threads: 2, isolate: false },
  { workers: 2, threads: 2, isolate: false },
  { workers: 5, threads: 1, isolate: false },
  { workers: 3, threads: 2, isolate: true },
])(
  "$workers workers of $threads threads that dawdle at random, isolated: $isolate, train the same bits",
  async (machine) => {
    const { workers, threads, isolate } = machine;
    const out = `dawdling-${workers}-${threads}`;
    const engine = { options: { threads }, delaySeed: workers };
    const env = {
      ZEROGATE_CHAOS: JSON.stringify({ engine }),
      NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
    };
    expect(await train(out, workers, isolate ? ["--isolate"] : [], env)).toMatchObject({ code: 0 });
    expect(outcome(out)).toEqual(outcome("whole"));
  },
);
