/** Two hosts open a run that sees images, each with a cache of its own. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTower } from "@zerogate/core/node";
import { createTower, towerFeatures, zeroImage } from "@zerogate/core/vision";
import { beforeAll, expect, test } from "vitest";
import { drawnPng } from "../../test/drawn_png.ts";
import { localTeams } from "../../test/local_ranks.ts";
import { at, configOf } from "../../test/runs_together.ts";
import { towerEngine } from "../open/tower_engine.ts";
import { openInputs, type RunInputs } from "../run/inputs.ts";
import { openAlike } from "./same_everywhere.ts";

const tower = fileURLToPath(new URL("../../world/tower", import.meta.url));
const progress = { onPhase() {}, onWarning() {}, signal: new AbortController().signal };

beforeAll(() => {
  for (const rank of [0, 1]) {
    mkdirSync(at(`host${rank}`));
    for (const i of [0, 1]) writeFileSync(at(`host${rank}/${i}.png`), drawnPng([90, 90, 90], [40 * i, 200, 30], 9 + i));
    const records = [0, 1, 0, 1].map((i) => ({ instruction: "What is it?", output: `It is ${i}.`, image: `${i}.png` }));
    writeFileSync(at(`host${rank}/seen.json`), JSON.stringify(records));
  }
});

/** The inputs of both, or what each said. */
function openOnBoth(changes: (rank: number) => Readonly<Record<string, string>> = () => ({})) {
  return localTeams(2).all((team) => {
    const own = { cacheDir: at(`cache${team.rank}`), data: at(`host${team.rank}/seen.json`), tower };
    const { data, ...flags } = { ...own, ...changes(team.rank) };
    const config = { ...configOf("seeing", flags), data: [data], validationData: undefined };
    return openAlike(team, config, (placed, find) => openInputs(placed, progress, "used", find));
  });
}

test("they have the same features in memory and on disk", async () => {
  const [first, second] = (await openOnBoth()) as RunInputs[];
  expect(first?.train.tokens.images?.rows.values.length).toBe(2 * 192);
  expect(second?.train.tokens.images).toEqual(first?.train.tokens.images);
  expect(second?.hashes).toEqual(first?.hashes);
  const packs = [0, 1].map((rank) => readdirSync(at(`cache${rank}`)).filter((name) => name.endsWith(".pack")));
  expect(packs[0]).toHaveLength(1);
  expect(packs[1]).toEqual(packs[0]);
  const [own = "", received = ""] = packs.map(([name = ""], rank) => join(at(`cache${rank}`), name));
  expect(readFileSync(received)).toEqual(readFileSync(own));
});

test("the image of zeros that stands for missing ones is made once, with the others, and received", async () => {
  const changes = { fusion: "query", missingImage: "zero-image", visionEmbed: "8" };
  const [first, second] = (await openOnBoth(() => changes)) as RunInputs[];
  const { images } = first?.train.tokens ?? {};
  expect(images?.rows).toMatchObject({ missing: 2, size: 65 * 48 });
  expect(images?.rows.values.length).toBe(3 * 65 * 48);
  expect(second?.train.tokens.images).toEqual(images);
  const { config, image } = await readTower(tower);
  const eyes = createTower(towerEngine(), config, image);
  const zeros = await towerFeatures(eyes, [zeroImage(config)], { features: ["tokens@-1"], featureNorm: "none" });
  const bytes = Buffer.from(zeros.values.buffer);
  for (const rank of [0, 1]) {
    const packs = readdirSync(at(`cache${rank}`)).filter((name) => name.startsWith("features-"));
    const held = packs.filter((name) => readFileSync(join(at(`cache${rank}`), name)).includes(bytes));
    expect(held, `rank ${rank}`).toHaveLength(1);
  }
});

test("a tower of one host alone, another tower, and data that are not there are refused on both", async () => {
  cpSync(tower, at("other"), { recursive: true });
  const settings = at("other/preprocessor_config.json");
  writeFileSync(settings, readFileSync(settings, "utf8").replace('"resample": 2', '"resample": 3'));
  const blind = await openOnBoth((rank) => (rank === 1 ? { tower: "none" } : {}));
  for (const message of blind) expect(message).toContain("data with images of rank 1 is none, of rank 0 data");
  const other = await openOnBoth((rank) => (rank === 1 ? { tower: at("other") } : {}));
  for (const message of other) expect(message).toMatch(/images and tower of rank 1 are \w{64}, of rank 0 \w{64}/);
  const gone = await openOnBoth((rank) => (rank === 1 ? { data: at("gone.json") } : {}));
  for (const message of gone) expect(message).toMatch(/^rank 1 of 2: .*gone\.json/);
});
