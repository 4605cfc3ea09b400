import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { noiseNumbers, noiseTensors } from "../../../test/noise_tower.ts";
import { absent, sharedPath } from "../../../test/shared.ts";
import { describeTowers, distance, floats, openCase, towerCases, towerPixels, towerSide } from "../../../test/tower.ts";
import { createReferenceEngine } from "../../engine/reference.ts";
import { parseSafetensors } from "../../formats/safetensors.ts";
import { readTower } from "../../node/tower_files.ts";
import { parseTowerConfig } from "./config.ts";
import { globalFeatures, normalizeVector, parseFeatures } from "./features.ts";
import { createTower } from "./tower.ts";
import { towerFeatures } from "./tower_features.ts";

describeTowers("reference", createReferenceEngine);

test.each(Object.keys(towerCases))("%s: the names are those that transformers saves", (title) => {
  const { config, names } = towerCases[title] ?? { config: {}, names: [] };
  expect([...noiseTensors(parseTowerConfig(config, "x")).keys()].toSorted()).toEqual([...names].toSorted());
});

test("features stand in the order in which they were asked for, each with its norm", async () => {
  const tower = await openCase("vit d 5", createReferenceEngine());
  const { values: tokens } = await towerFeatures(tower, towerPixels, { features: ["tokens@3"] });
  const of = (names: string[], featureNorm: "layer" | "none") =>
    towerFeatures(tower, towerPixels, { features: names, featureNorm });
  const both = await of(["mean@3", "cls@-1"], "none");
  const [M, W] = [10, 15];
  const cls = (s: number) => tokens.subarray(s * M * W, s * M * W + W);
  const mean = (s: number) =>
    Float32Array.from({ length: W }, (_, i) => {
      let sum = 0;
      for (let t = 1; t < M; t++) sum += tokens[(s * M + t) * W + i] ?? 0;
      return sum / (M - 1);
    });
  expect(both.shape).toEqual([2, 2 * W]);
  const expected = [mean(0), cls(0), mean(1), cls(1)];
  expect([...both.values]).toEqual(expected.flatMap((vector) => [...vector]));
  const normed = await of(["mean@3", "cls@-1"], "layer");
  expect([...normed.values]).toEqual(
    expected.flatMap((vector) => {
      const own = vector.slice();
      normalizeVector(own);
      return [...own];
    }),
  );
});

test("a vector's norm is LayerNorm without weights", () => {
  const vector = Float32Array.of(1, 2, 3, 6);
  normalizeVector(vector);
  const scale = 1 / Math.sqrt(3.5 + 1e-6);
  expect([...vector]).toEqual([-2, -1, 0, 3].map((x) => Math.fround(x * scale)));
  const same = new Float32Array(3).fill(7);
  normalizeVector(same);
  expect([...same]).toEqual([0, 0, 0]);
});

test("features that a tower has not are refused by name, all at once", () => {
  const config = parseTowerConfig(towerCases["vit d 5"]?.config, "x");
  const problems = (names: string[], of = config) => {
    try {
      parseFeatures(names, of);
      return [];
    } catch (error) {
      return (error as { problems: string[] }).problems;
    }
  };
  expect(problems(["cls@4", "mean@-5", "cls", "embeds", "cls@-4"])).toEqual([
    '"cls@4" is outside of the tower: hidden states are 0 to 3, or -1 to -4',
    '"mean@-5" is outside of the tower: hidden states are 0 to 3, or -1 to -4',
    '"cls" is no feature, needed is cls@i, mean@i, pooled, embeds, tokens@i or tokens.projected',
    '"embeds" is not there: the tower has no visual_projection',
  ]);
  expect(problems([])[0]).toContain("none is named");
  expect(problems(["cls@1", "cls@1"])).toEqual(["a feature is named twice"]);
  expect(problems(["cls@1", "tokens@2"])).toEqual(["tokens stand alone: name no other feature"]);
  const siglip = parseTowerConfig(towerCases["siglip d 12"]?.config, "x");
  expect(problems(["cls@1"], siglip)).toEqual(['"cls@1" is not there: a siglip tower has no class token, use mean@1']);
  expect(problems(["pooled"], { ...siglip, poolingHead: false })).toEqual([
    '"pooled" is not there: the tower has no pooling head, use mean@-1',
  ]);
});

test("the default features stand at the quarters of the depth", () => {
  const at = (layers: number, title = "vit d 5") =>
    globalFeatures({ ...parseTowerConfig(towerCases[title]?.config, "x"), layers });
  expect(at(4)).toEqual(["cls@1", "cls@2", "cls@3", "cls@4"]);
  expect(at(24)).toEqual(["cls@6", "cls@12", "cls@18", "cls@24"]);
  expect(at(3)).toEqual(["cls@1", "cls@2", "cls@3"]);
  expect(at(1)).toEqual(["cls@1"]);
  expect(at(4, "siglip d 12")).toEqual(["mean@1", "mean@2", "mean@3", "mean@4"]);
});

test("pixels of another size are refused: positions are not interpolated", async () => {
  const tower = await openCase("clip d 12", createReferenceEngine());
  const options = { features: ["pooled"] };
  await expect(towerFeatures(tower, [noiseNumbers("x", 3 * 16 * 16)], options)).rejects.toThrow(
    `Cannot see an image of 768 numbers: the tower takes 3 × ${towerSide} × ${towerSide}, positions are not interpolated`,
  );
  expect((await towerFeatures(tower, [], options)).shape).toEqual([0, 24]);
});

const golden = absent("golden/multimodal_towers");
describe.skipIf(golden !== "")(`golden/multimodal_towers${golden}`, () => {
  const path = sharedPath("golden/multimodal_towers/tensors.safetensors");
  const asked = {
    clip: { "tokens@0": "hidden0", "tokens@1": "hidden1", "tokens@2": "hidden2", "tokens@3": "hidden3" },
    vit: { "tokens@0": "hidden0", "tokens@1": "hidden1", "tokens@2": "hidden2" },
    siglip: { "tokens@0": "hidden0", "tokens@1": "hidden1", "tokens@2": "hidden2", pooled: "pooler_output" },
  };
  const more = { clip: { embeds: "image_embeds", "tokens.projected": "tokens_projected" }, vit: {}, siglip: {} };
  test.each(["clip", "vit", "siglip"] as const)(
    "%s: every state, embeds, projected tokens, pooler [V3]",
    async (name) => {
      const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
      const values = (tensor: string) => floats(Buffer.from(tensors.get(tensor)?.bytes ?? []).toString("base64"));
      const { config, image } = await readTower(sharedPath(`golden/multimodal_towers/${name}`));
      const tower = createTower(createReferenceEngine(), config, image);
      const all = values("pixel_values");
      const pixels = [all.slice(0, 3072), all.slice(3072)];
      for (const [feature, tensor] of Object.entries({ ...asked[name], ...more[name] })) {
        const found = await towerFeatures(tower, pixels, { features: [feature], featureNorm: "none" });
        expect(distance(found.values, values(`${name}/${tensor}`)), feature).toBeLessThan(1e-5);
      }
    },
  );
});
