/** A changed bit or a cut anywhere in a checkpoint is always found; the broken one is kept aside and the one before it taken. */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { readModelConfig, verifyDirectory } from "@zerogate/core/node";
import { randomBits } from "@zerogate/core/training";
import { beforeAll, describe, expect, test } from "vitest";
import { unsafeChanges } from "../../packages/run-config/src/config/identity.ts";
import { safeToChange, type TrainConfig } from "../../packages/run-config/src/config/train_config.ts";
import { newestCheckpoint } from "../../packages/run-files/src/checkpoint/newest.ts";
import { readMetrics } from "../../packages/run-files/src/metrics/metrics_file.ts";
import { readReceipt } from "../../packages/run-files/src/receipt/receipt.ts";
import { loadReceipt, openReceipt } from "../../packages/run-files/src/receipt/receipt_file.ts";
import { readAccepted, writeAccepted } from "../../packages/trainer/src/run/accepted.ts";
import { readRunConfig } from "../../packages/trainer/src/run/run_folder.ts";
import { verifyRun } from "../../packages/trainer/src/run/verify_run.ts";
import { testFolder } from "../support/cli.ts";
import { zerogateHere } from "../support/here.ts";
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
  expect(await zerogateHere(["train", ...flags], { cwd: folder })).toMatchObject({ code: 0 });
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
  expect(small).toEqual(["README.md", "adapter_config.json", "manifest.json", "state.msgpack", "zerogate.json"]);
  expect(large).toEqual(["adapter_model.safetensors", "optimizer.safetensors"]);
});

describe.each(damages)("$what", ({ damage }) => {
  test("at every byte of the small files and random bytes of the large ones is found", async () => {
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

test("a changed bit or a cut in config.json is refused as a whole, by key, or does not change what is trained", async () => {
  const path = join(run, "config.json");
  const before = await readRunConfig(run, {});
  for (const { damage } of damages) {
    await atEachPlace(path, damage, async (at) => {
      const after = await readRunConfig(run, {}).catch((error: unknown) => error);
      expect(after instanceof InputError || isHarmless(before, after as TrainConfig), `byte ${at}`).toBe(true);
    });
  }
});

const quiet = { failed() {}, worked() {} };

describe.each(damages)("$what outside of checkpoints", ({ damage }) => {
  const verify = async () => verifyRun(await readRunConfig(run, {}), model);
  const told = async () => {
    const { problems, notes } = await verify();
    return [...problems, ...notes].join();
  };
  /** A verification reads the whole run: it is done for some of the places that a cheaper look goes through. */
  let looks = 0;
  const isUntold = async (what: RegExp) => looks++ % 24 === 0 && !what.test(await told());

  test("at every byte of receipt.jsonl is reported by verify, and by a resume that needs what is lost", async () => {
    const path = join(run, "receipt.jsonl");
    const checkpoint = await newestCheckpoint(run, model, () => {});
    if (!checkpoint) throw new Error("there is no checkpoint");
    const { step, receipt: chain } = checkpoint.state;
    const { lines, ends } = loadReceipt(run);
    const needed = ends[lines.findIndex((line) => line.chain === chain)] ?? 0;
    expect(needed).toBeGreaterThan(500);
    const sound = readFileSync(path);
    const untold: number[] = [];
    for (let at = 0; at < sound.length; at++) {
      const bytes = damage(sound, at);
      writeFileSync(path, bytes);
      if (await isUntold(/receipt/)) untold.push(at);
      const { problem } = readReceipt(bytes);
      expect(problem !== undefined || bytes.length < sound.length, `byte ${at}`).toBe(true);
      const said: string[] = [];
      openReceipt(run, { step, chain }, quiet, (sentence) => said.push(sentence)).close();
      const kept = said.map(() => readFileSync(`${path}.corrupt`)); // once, if what is lost is needed
      expect(kept, `byte ${at}`).toEqual(at < needed ? [bytes] : kept);
      rmSync(`${path}.corrupt`, { force: true });
      // However it was damaged: the receipt is whole again, and says where it has a gap.
      expect(loadReceipt(run).problem, `byte ${at}`).toBeUndefined();
    }
    writeFileSync(path, sound);
    expect(untold).toEqual([]);
  });

  test("of metrics.jsonl that changes a loss, a step or a line is reported", async () => {
    const losses = () => {
      const { steps, evaluations } = readMetrics(run);
      return JSON.stringify([...steps, ...evaluations].map(({ step, loss }) => [step, loss]));
    };
    const sound = losses();
    const untold: number[] = [];
    let found = 0;
    await atEachPlace(join(run, "metrics.jsonl"), damage, async (at) => {
      if (losses() === sound) return; // a time, a speed or a gate's value, which nothing goes by
      found++;
      if (await isUntold(/metrics/)) untold.push(at);
    });
    expect(found).toBeGreaterThan(100);
    expect(untold).toEqual([]);
  });

  test("of the finished adapter is reported, and a resume keeps it aside and writes the right one", async () => {
    const path = join(run, "adapter", "adapter_model.safetensors");
    const bytes = readFileSync(path);
    for (let i = 0; i < 25; i++) {
      writeFileSync(path, damage(bytes, randomBits(i, 11) % bytes.length));
      expect((await verify()).problems.join()).toMatch(/adapter_model.safetensors is not that of the last checkpoint/);
    }
    const damaged = readFileSync(path);
    const resumed = await zerogateHere(["resume", "run"], { cwd: folder });
    expect(resumed).toMatchObject({ code: 0 });
    const [, kept = ""] = /adapter was another one\. It is kept as (\S+)/.exec(resumed.stderr) ?? [];
    expect(readFileSync(join(kept, "adapter_model.safetensors"))).toEqual(damaged);
    expect(readFileSync(path)).toEqual(bytes);
    const untold: string[] = [];
    for (const name of ["adapter_config.json", "README.md"]) {
      await atEachPlace(join(run, "adapter", name), damage, async (at) => {
        if (await isUntold(/adapter/)) untold.push(`${name}, byte ${at}`);
      });
    }
    expect(untold).toEqual([]);
    expect(await told()).toBe("");
  });

  test("at every byte of accepted.json is refused", async () => {
    const path = join(run, "accepted.json");
    const records = [{ step: 2, field: "lr", was: "0.005", is: "0.01" }];
    await writeAccepted(run, records);
    const other: number[] = [];
    await atEachPlace(path, damage, async (at) => {
      const read = await readAccepted(run).catch((error: unknown) => error);
      const isSame = JSON.stringify(read) === JSON.stringify(records); // damage of white space
      if (!isSame && !(read instanceof InputError)) other.push(at);
    });
    rmSync(path);
    expect(other).toEqual([]);
  });
});

test("a config.json that was changed before the first checkpoint is not trained with", async () => {
  const copy = join(folder, "begun");
  cpSync(run, copy, { recursive: true });
  for (const name of ["checkpoints", "adapter"]) rmSync(join(copy, name), { recursive: true });
  const path = join(copy, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...config, lr: 0.007 }));
  const refused = await zerogateHere(["resume", "begun"], { cwd: folder });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain(
    "its config.json is not that which it began with: start it again with zerogate train",
  );
  writeFileSync(path, JSON.stringify(config));
  expect(await zerogateHere(["resume", "begun", "--lr", "0.007"], { cwd: folder })).toMatchObject({ code: 2 });
  const accepted = ["--lr", "0.007", "--accept-change", "lr"];
  expect(await zerogateHere(["resume", "begun", ...accepted], { cwd: folder })).toMatchObject({ code: 0 });
});

test("a resume whose checkpoints are all damaged ends with exit code 3 and says so", async () => {
  for (const step of [2, 4]) {
    const path = join(run, "checkpoints", `step-${step}`, "state.msgpack");
    writeFileSync(path, flipped(readFileSync(path), 40));
  }
  const resumed = await zerogateHere(["resume", "run"], { cwd: folder });
  expect(resumed).toMatchObject({ code: 3, stdout: "" });
  expect(resumed.stderr).toMatch(/none of its 2 checkpoints is whole/);
  expect(readdirSync(join(run, "checkpoints")).toSorted()).toEqual(["step-2.corrupt", "step-4.corrupt"]);
});
