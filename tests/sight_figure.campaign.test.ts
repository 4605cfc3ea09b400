/**
 * Sight as a figure: a short run of a fixed seed on drawn pictures. It names the colours of pictures that it has not seen, and cannot
 * without them. The floors leave room for other bits: a silent loss of sight falls to a quarter.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { writePictureSet } from "../packages/zerogate/src/pictures/picture_set.ts";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
const world = (name: string) => fileURLToPath(new URL(`../packages/trainer/world/${name}`, import.meta.url));
const run = (...args: string[]) => zerogateHere(args, { cwd });

interface Evaluated {
  readonly exactMatch: number;
  readonly images: readonly { readonly condition: string; readonly loss: number }[];
}

async function evaluated(data: string): Promise<Evaluated> {
  const { code, stderr, json } = await run("eval", "--adapter", "run", "--data", data, "--workers", "1", "--json");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return json[0] as unknown as Evaluated;
}

beforeAll(async () => {
  await writePictureSet(cwd, "train", { count: 240, seed: 1, question: "colour" });
  const asked = await writePictureSet(cwd, "test", { count: 60, seed: 2, question: "colour" });
  // The same questions and answers, of others' pictures: each is of another colour.
  const colours = new Map(asked.map(({ output, image }) => [output, image]));
  const other = (answer: string) => [...colours].find(([colour]) => colour !== answer)?.[1];
  const swapped = asked.map((record) => ({ ...record, image: other(record.output) }));
  const blind = asked.map((record) => ({ ...record, image: null }));
  for (const [name, records] of Object.entries({ swapped, blind })) {
    await writeFile(join(cwd, `${name}.json`), JSON.stringify(records));
  }
  const settings = ["--config", world("pictures.yaml"), "--model", base, "--tower", world("tower")];
  const data = [
    "--data",
    "train.json",
    "--validation-data",
    "test.json",
    "--eval-every",
    "1000",
    "--report-answers",
    "0",
  ];
  const length = ["--steps", "120", "--batch-size", "24", "--seed", "0", "--workers", "1", "--out", "run"];
  const trained = await run("train", ...settings, ...data, ...length);
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
});

test("it names the colours of at least 80 of 100 pictures greedily, and of less than 40 without or with others' [V13]", async () => {
  const [own, blind, swapped] = [
    await evaluated("test.json"),
    await evaluated("blind.json"),
    await evaluated("swapped.json"),
  ];
  expect(own.exactMatch).toBeGreaterThanOrEqual(0.8);
  expect(blind.exactMatch).toBeLessThan(0.4);
  expect(swapped.exactMatch).toBeLessThan(0.2);
  const [seen, none, others] = own.images.map(({ loss }) => loss);
  expect(seen).toBeLessThan(0.5 * (none ?? 0));
  expect(seen).toBeLessThan(0.5 * (others ?? 0));
});
