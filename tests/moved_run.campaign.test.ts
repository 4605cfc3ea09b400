/** A run directory that is renamed while a run writes to it: one run must not become two. */
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, records, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const STEPS = 30;
const flags = tinyRun(cwd, {
  "--steps": String(STEPS),
  "--save-every": "10",
  "--keep-checkpoints": "2",
  "--workers": "1",
  "--batch-size": "2",
  "--adapter-layers": "1",
  "--validation-data": "few.json",
});
writeFileSync(at("few.json"), JSON.stringify(records("heldout.json", 2)));

/** Trains, and acts on the run's folder after n reported steps. */
const train = (out: string, after: number, act: () => void) => {
  let steps = 0;
  return zerogate(["train", ...flags, "--out", out, "--json"], {
    cwd,
    onLine: (line) => {
      if (line.startsWith('{"event":"step"') && ++steps === after) act();
    },
  });
};

beforeAll(async () => {
  expect((await zerogateHere(["train", ...flags, "--out", "whole"], { cwd })).code).toBe(0);
});

test("a renamed run ends, says where it lies now, and writes nothing under its old name [T-B9]", async () => {
  const moved = await train("here", 6, () => renameSync(at("here"), at("there")));
  expect(moved.code, moved.stderr).toBe(2);
  expect(moved.stderr).toContain("the folder was renamed or moved");
  const place = process.platform === "linux" ? `, to ${at("there")}` : "";
  expect(moved.stderr).toContain(`${place}, and nothing is written under its old name`);
  expect(existsSync(at("here"))).toBe(false);
  const resumed = await zerogateHere(["resume", "there"], { cwd });
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(adapterHash(at("there"))).toBe(adapterHash(at("whole")));
});

test("a copy in the place of a renamed run is not written to [T-B9]", async () => {
  let copied: unknown;
  const contents = (folder: string) =>
    (readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => /jsonl$|state\.msgpack$/.test(name))
      .map((name) => [name, readFileSync(join(folder, name), "base64")]);
  const moved = await train("first", 6, () => {
    renameSync(at("first"), at("second"));
    cpSync(at("second"), at("first"), { recursive: true });
    copied = contents(at("first"));
  });
  expect(moved.code, moved.stderr).toBe(2);
  expect(moved.stderr).toContain("the folder was renamed or moved");
  expect(contents(at("first"))).toEqual(copied);
});
