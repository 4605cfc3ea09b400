/** What a long run keeps. How much of it the system gives back is measured by `bench/soak.mjs`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { tinyRun } from "./support/world.ts";

const folder = testFolder();

interface Probed {
  /** By thread, the main one first: bytes that can be reached, by V8's kind of node. */
  readonly snapshots: readonly { readonly heaps: readonly Readonly<Record<string, number>>[] }[];
  /** Of each further thread, in MB. */
  readonly young: readonly number[];
}

/** V8's own: code that is optimised late, shapes, statistics. It grows for minutes, with the code that runs and not with the run. */
const machinery = new Set(["code", "hidden", "object shape"]);

test("no thread keeps anything of a step, a validation or a checkpoint", async () => {
  const out = join(folder, "probed.json");
  const changes = {
    "--steps": "100000",
    "--batch-size": "2",
    "--workers": "2",
    "--eval-every": "10",
    "--save-every": "3",
  };
  const env = {
    ZEROGATE_PROBE_OUT: out,
    ZEROGATE_PROBE_STEPS: "100,110,400,410",
    NODE_OPTIONS: `--import ${new URL("support/memory_probe.mjs", import.meta.url).href}`,
  };
  const args = ["train", ...tinyRun(folder, changes), "--out", "run", "--json"];
  const { code, stderr } = await zerogate(args, { cwd: folder, env });
  expect(code, stderr).toBe(130);

  const { snapshots, young } = JSON.parse(readFileSync(out, "utf8")) as Probed;
  const kept = snapshots.map(({ heaps }) =>
    heaps.map((kinds) =>
      Object.entries(kinds).reduce((sum, [kind, bytes]) => sum + (machinery.has(kind) ? 0 : bytes), 0),
    ),
  );
  // Of two looks the smaller one: a checkpoint or a cell may be under way.
  const least = (a: number[] = [], b: number[] = []) => a.map((bytes, thread) => Math.min(bytes, b[thread] ?? bytes));
  const [early, late] = [least(kept[0], kept[1]), least(kept[2], kept[3])];
  expect(early).toHaveLength(4); // the main thread, two devices, the writer
  const growth = late.map((bytes, thread) => bytes - (early[thread] ?? 0));
  // 300 steps that leave 400 bytes each are more, so are 100 checkpoints of 1,200.
  expect(Math.max(...growth), `growth in bytes, by thread: ${growth.join(", ")}`).toBeLessThan(120_000);
  // Garbage between two collections is no more than that either; Node's default is 48 MB a thread.
  expect(young).toEqual([6, 6, 6]);
});
