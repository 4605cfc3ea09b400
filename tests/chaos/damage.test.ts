/** A changed bit or a cut anywhere in a checkpoint is always found; the broken one is kept aside and the one before it taken. */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError, randomBits } from "@zerogate/core";
import { readModelConfig, verifyDirectory } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { newestCheckpoint } from "../../packages/trainer/src/checkpoint/newest.ts";
import { unsafeChanges } from "../../packages/trainer/src/config/identity.ts";
import { safeToChange, type TrainConfig } from "../../packages/trainer/src/config/train_config.ts";
import { readRunConfig } from "../../packages/trainer/src/run/run_folder.ts";
import { testFolder, zerogate } from "../support/cli.ts";
import { base, tinyRun } from "../support/world.ts";

const folder = testFolder();
const run = join(folder, "run");
const newest = join(run, "checkpoints", "step-4");
const model = await readModelConfig(base);
/** Files up to this size are damaged at every byte, larger ones at random bytes. */
const SMALL = 4096;
const RANDOM_PLACES = 2000;
const small: string[] = [];
const large: string[] = [];

beforeAll(async () => {
  const flags = [...tinyRun(folder, { "--steps": "4" }), "--save-every", "2", "--out", "run"];
  expect(await zerogate(["train", ...flags], { cwd: folder })).toMatchObject({ code: 0 });
  for (const name of readdirSync(newest)) {
    (statSync(join(newest, name)).size <= SMALL ? small : large).push(name);
  }
});

/** Every byte of small files, random ones of large files. */
function places(length: number): number[] {
  if (length <= SMALL) return Array.from({ length }, (_, at) => at);
  return Array.from({ length: RANDOM_PLACES / large.length }, (_, i) => randomBits(length, i) % length);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ (1 << (randomBits(at, bytes.length) % 8)), at);
  return changed;
}

/** Calls `look` with the file damaged at each place, in the way of `damage`; then the file is as it was. */
async function atEachPlace(
  path: string,
  damage: (bytes: Buffer, at: number) => Buffer,
  look: (at: number) => Promise<void>,
): Promise<number> {
  const bytes = readFileSync(path);
  const all = places(bytes.length);
  for (const at of all) {
    writeFileSync(path, damage(bytes, at));
    await look(at);
  }
  writeFileSync(path, bytes);
  return all.length;
}

const damages = [
  { what: "a changed bit", damage: flipped },
  { what: "a cut", damage: (bytes: Buffer, at: number) => bytes.subarray(0, at) },
];

test("a checkpoint has small files and large ones", () => {
  expect(small).toEqual(["README.md", "adapter_config.json", "manifest.json", "state.msgpack"]);
  expect(large).toEqual(["adapter_model.safetensors", "optimizer.safetensors"]);
});

describe.each(damages)("$what", ({ damage }) => {
  test("at every byte of the small files and random bytes of the large ones is found", {
    timeout: 240_000,
  }, async () => {
    let looked = 0;
    for (const name of [...small, ...large]) {
      looked += await atEachPlace(join(newest, name), damage, async (at) => {
        expect(await verifyDirectory(newest), `${name} at ${at}`).not.toEqual([]);
      });
    }
    expect(looked).toBeGreaterThan(2000 + RANDOM_PLACES);
    expect(await verifyDirectory(newest)).toEqual([]);
  });

  test("in any file sets the checkpoint aside, says so and takes the one before it", async () => {
    const copy = join(folder, "copy");
    for (const [i, name] of [...small, ...large].entries()) {
      rmSync(copy, { recursive: true, force: true });
      cpSync(run, copy, { recursive: true });
      const broken = join(copy, "checkpoints", "step-4");
      const bytes = readFileSync(join(broken, name));
      writeFileSync(join(broken, name), damage(bytes, randomBits(i, 7) % bytes.length));
      const said: string[] = [];
      const found = await newestCheckpoint(copy, model, (problem) => said.push(problem));
      expect(found?.state.step, name).toBe(2);
      expect(said.join()).toContain(`Cannot use the checkpoint ${broken}: `);
      expect(said.join()).toContain(`It is kept as ${broken}.corrupt`);
      expect(readFileSync(join(`${broken}.corrupt`, name))).not.toEqual(bytes);
    }
  });
});

test("a file too many, a file too few and a link are found", async () => {
  const extra = join(newest, "more.txt");
  writeFileSync(extra, "");
  expect(await verifyDirectory(newest)).toEqual(["more.txt is not in manifest.json"]);
  rmSync(extra);
  for (const name of [...small, ...large]) {
    renameSync(join(newest, name), join(folder, "away"));
    expect(await verifyDirectory(newest)).toEqual([
      name === "manifest.json" ? "manifest.json is missing or damaged" : `${name} is missing`,
    ]);
    renameSync(join(folder, "away"), join(newest, name));
  }
  expect(await verifyDirectory(newest)).toEqual([]);
});

/** A resume names what changed, or it decides nothing. */
function isHarmless(before: TrainConfig, after: TrainConfig): boolean {
  const keys = Object.keys({ ...before, ...after }) as (keyof TrainConfig)[];
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return unsafeChanges(before, after).length > 0 || changed.every((key) => safeToChange.includes(key));
}

test("a changed bit or a cut in config.json is refused as a whole, by key, or changes nothing of what is trained", async () => {
  const path = join(run, "config.json");
  const before = await readRunConfig(run, {});
  for (const { damage } of damages) {
    await atEachPlace(path, damage, async (at) => {
      const after = await readRunConfig(run, {}).catch((error: unknown) => error);
      expect(after instanceof InputError || isHarmless(before, after as TrainConfig), `byte ${at}`).toBe(true);
    });
  }
});

test("a resume whose checkpoints are all damaged ends with exit code 3 and says so", async () => {
  for (const step of [2, 4]) {
    const path = join(run, "checkpoints", `step-${step}`, "state.msgpack");
    writeFileSync(path, flipped(readFileSync(path), 40));
  }
  const resumed = await zerogate(["resume", "run"], { cwd: folder });
  expect(resumed).toMatchObject({ code: 3, stdout: "" });
  expect(resumed.stderr).toMatch(/none of its 2 checkpoints is whole/);
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(["step-2.corrupt", "step-4.corrupt"]);
});
