/** `zerogate convert` and `zerogate adapters` with adapters that were trained on images. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { adapterLayout, adaptionPromptConfig, initParameters, partNumbers } from "@zerogate/core";
import { readAdapter, readModelConfig, type SavedAdapter, saveAdapter } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const folder = testFolder();
const at = (name: string) => join(folder, name);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
const seen: NonNullable<SavedAdapter["seen"]> = {
  features: ["cls@-1"],
  featureNorm: "layer",
  severalImages: "mean",
  tower: {
    modelType: "vit",
    hiddenSize: 6,
    layers: 2,
    imageSize: 32,
    patchSize: 8,
    sha256: "ab".repeat(32),
    nameOrPath: "towers/small",
    channelOrder: "rgb",
    exif: "apply",
  },
};

beforeAll(async () => {
  const vision = { fusion: "global", featureSize: 6, projectionSize: 3, missingImage: "none" } as const;
  const layout = adapterLayout({ promptLength: 2, adaptedLayers: 2, vision }, await readModelConfig(base));
  const params = (seed: number) => initParameters(layout.table, seed).map((value) => value + 0.25 * seed);
  const config = adaptionPromptConfig({ adapterLen: 2, adapterLayers: 2, taskType: "CAUSAL_LM" });
  await saveAdapter(at("one"), { config, layout, params: params(1), seen });
  await saveAdapter(at("two"), { config, layout, params: params(2), seen });
  const other = { ...seen, tower: { ...seen.tower, sha256: "cd".repeat(32) } };
  await saveAdapter(at("other"), { config, layout, params: params(3), seen: other });
});

test("their mean has the mean of their projections and the tower of both", async () => {
  const { code } = await run("adapters", "average", "one", "two", "--out", "mean");
  expect(code).toBe(0);
  const [one, two, mean] = await Promise.all(["one", "two", "mean"].map((name) => readAdapter(at(name))));
  expect(mean?.seen).toMatchObject(seen);
  const fc1 = mean?.layout.table.find(({ name }) => name === "proj.fc1.weight");
  if (!one || !two || !mean || !fc1) throw new Error("an adapter is missing");
  const numbers = [one, two, mean].map(({ params }) => partNumbers(fc1, params));
  for (let i = 0; i < 18; i++) {
    const [a = 0, b = 0, c = 0] = numbers.map((own) => own[i]);
    expect(c).toBeCloseTo((a + b) / 2, 6);
  }
});

test("adapters of two towers have no mean, and nothing is written", async () => {
  const { code, stderr } = await run("adapters", "average", "one", "other", "--out", "mixed");
  expect(code).toBe(2);
  expect(stderr).toContain("other sees cls@-1 of the vit cdcdcdcd; one sees cls@-1 of the vit abababab");
  expect(existsSync(at("mixed"))).toBe(false);
});

test("a folder of another gate keeps what they see; files of other programs have no place for it", async () => {
  expect((await run("convert", "one", "peft", "--to", "peft")).code).toBe(0);
  expect((await readAdapter(at("peft"))).seen).toMatchObject(seen);
  for (const to of ["original", "litgpt", "lit-llama"]) {
    const { code, stderr } = await run("convert", "one", "file.pth", "--to", to, "--model", base);
    expect(code).toBe(2);
    expect(stderr).toContain(
      `a file of ${to} has no place for what the adapter trained for images: use --to peft or zerogate`,
    );
  }
  expect(existsSync(at("file.pth"))).toBe(false);
});
