/** `zerogate convert` and `zerogate adapters` with adapters that were trained on images. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { adapterLayout, adaptionPromptConfig, initParameters, partNumbers } from "@zerogate/core";
import { readAdapter, readModelConfig, type SavedAdapter, saveAdapter } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { absent, sharedPath } from "../packages/core/test/shared.ts";
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
  expect(stderr).toContain(
    "other sees cls@-1 of the vit cdcdcdcd, by a projection of 3 units; one sees cls@-1 of the vit abababab, by a projection of 3 units",
  );
  expect(existsSync(at("mixed"))).toBe(false);
});

test("list and show say what they see, and diff compares it, numbers only of what is made alike", async () => {
  const units = { fusion: "global", featureSize: 6, projectionSize: 4, missingImage: "none" } as const;
  const sizes = { featureSize: 6, embedSize: 4, blocks: 1, heads: 2, mlpSize: 3, blockEps: 1e-6, normEps: 1e-5 };
  const queries = { fusion: "query", ...sizes, missingImage: "none" } as const;
  const model = await readModelConfig(base);
  const config = adaptionPromptConfig({ adapterLen: 2, adapterLayers: 2, taskType: "CAUSAL_LM" });
  for (const [name, vision] of Object.entries({ units, queries, text: undefined })) {
    const layout = adapterLayout({ promptLength: 2, adaptedLayers: 2, ...(vision && { vision }) }, model);
    const own = vision && { ...seen, ...(vision.fusion === "query" && { severalImages: "concat" as const }) };
    await saveAdapter(at(`seeing/${name}`), { config, layout, params: initParameters(layout.table, 1), seen: own });
  }
  const listed = (await run("adapters", "list", "seeing", "--json")).json as { path: string; images?: object }[];
  const hash = expect.stringMatching(/^[0-9a-f]{64}$/) as unknown;
  expect(listed.map(({ path, images }) => [path, images])).toEqual([
    ["seeing/queries", { fusion: "query", hash }],
    ["seeing/text", undefined],
    ["seeing/units", { fusion: "global", hash }],
  ]);
  expect((await run("adapters", "list", "seeing")).stdout).toMatch(/template +images +sha256/);
  const shown = async (name: string) => (await run("adapters", "show", `seeing/${name}`)).stdout;
  expect(await shown("units")).toContain("cls@-1 of the vit abababab, by a projection of 4 units");
  expect(await shown("queries")).toContain("cls@-1 of the vit abababab, by visual queries (width 4, blocks: 1)");
  expect(await shown("text")).toMatch(/images +no images/);
  const [facts] = (await run("adapters", "show", "seeing/queries", "--json")).json;
  expect(facts).toMatchObject({ images: { fusion: "query", embedSize: 4, features: ["cls@-1"], sha256: hash } });

  interface Found {
    readonly same: boolean;
    readonly config: readonly { readonly name: string }[];
    readonly layout: readonly { readonly name: string }[];
    readonly layers: readonly object[];
  }
  const diff = async (a: string, b: string) => {
    const { code, json } = await run("adapters", "diff", a, b, "--json");
    const { config: facts_, layout, layers } = json[0] as unknown as Found;
    return [code, facts_.map(({ name }) => name), layout.map(({ name }) => name), layers.length > 0];
  };
  expect(await diff("seeing/units", "seeing/units")).toEqual([0, [], [], true]);
  expect(await diff("one", "seeing/units")).toEqual([1, [], ["vision"], false]);
  expect(await diff("seeing/units", "seeing/queries")).toEqual([1, ["severalImages"], ["vision"], false]);
  expect(await diff("seeing/text", "seeing/units")).toEqual([
    1,
    ["features", "featureNorm", "severalImages", "tower"],
    ["vision"],
    false,
  ]);
  expect(await diff("one", "other")).toEqual([1, ["tower"], [], true]);
  const mixed = await run("adapters", "average", "seeing/units", "seeing/queries", "--out", "mixed");
  expect(mixed.code).toBe(2);
  expect(mixed.stderr).toContain("Cannot average adapters that see images differently");
});

test("the mean of adapters with visual queries has the mean of their transformers", async () => {
  expect(await run("adapters", "average", "seeing/queries", "seeing/queries", "--out", "same")).toMatchObject({
    code: 0,
  });
  expect((await readAdapter(at("same"))).params).toEqual((await readAdapter(at("seeing/queries"))).params);
  expect((await run("adapters", "diff", "same", "seeing/queries")).stdout).toBe("no difference\n");
});

test("a folder of another gate keeps what they see; files of other programs have no place for it", async () => {
  expect((await run("convert", "one", "peft", "--to", "peft")).code).toBe(0);
  const [one, peft] = [await readAdapter(at("one")), await readAdapter(at("peft"))];
  expect(peft.seen).toMatchObject(seen);
  expect(peft.params).toEqual(one.params);
  expect((await run("convert", "one", "file.pth", "--to", "multimodal", "--model", base)).stderr).toContain(
    "a multimodal file holds visual queries, which the adapter has not: use --to peft or zerogate",
  );
  for (const to of ["original", "litgpt", "lit-llama"]) {
    const { code, stderr } = await run("convert", "one", "file.pth", "--to", to, "--model", base);
    expect(code).toBe(2);
    expect(stderr).toContain(
      `a file of ${to} has no place for what the adapter trained for images: use --to peft or zerogate`,
    );
  }
  expect(existsSync(at("file.pth"))).toBe(false);
});

test("an adapter with visual queries goes to a file of the authors' multimodal code and back, through their tower [V6]", async () => {
  const sizes = { featureSize: 768, embedSize: 4, blocks: 1, heads: 2, mlpSize: 3, blockEps: 1e-6, normEps: 1e-5 };
  const vision = { fusion: "query", ...sizes, missingImage: "none" } as const;
  const gates = { gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout({ promptLength: 2, adaptedLayers: 2, ...gates, vision }, await readModelConfig(base));
  const params = initParameters(layout.table, 4).map((value, i) => value + 0.1 * Math.sin(i));
  const config = adaptionPromptConfig({ adapterLen: 2, adapterLayers: 2, taskType: "CAUSAL_LM" });
  const own = { ...seen, features: ["tokens.projected"], featureNorm: "none", severalImages: "concat" } as const;
  await saveAdapter(at("queries"), { config, layout, params, seen: own });
  expect(await run("convert", "queries", "queries.pth", "--to", "multimodal", "--model", base)).toMatchObject({
    code: 0,
  });
  const back = ["convert", "queries.pth", "back", "--to", "zerogate", "--model", base];
  expect((await run(...back)).stderr).toContain("a width of 4 does not divide over 16 heads");
  expect(await run(...back, "--vision-heads", "2")).toMatchObject({ code: 0 });
  const found = await readAdapter(at("back"));
  expect(found.params).toEqual(params);
  expect(found.shape).toMatchObject({ ...gates, vision });
  expect(found.seen).toMatchObject({
    features: ["tokens.projected"],
    severalImages: "concat",
    tower: {
      modelType: "clip_vision_model",
      layers: 24,
      channelOrder: "bgr",
      nameOrPath: "openai/clip-vit-large-patch14",
    },
  });
  expect((await run("convert", "one", "two-times", "--to", "zerogate", "--vision-heads", "2")).stderr).toContain(
    "--tower, --vision-heads and --gate are about files that are multimodal, this is none",
  );
  for (const to of ["original", "litgpt"]) {
    expect((await run("convert", "queries", "no.pth", "--to", to, "--model", base)).stderr).toContain(
      "has no place for",
    );
  }
});

const reason = absent("golden/multimodal_query");

test.skipIf(reason !== "")(
  `a released file is the adapter of our reference in PyTorch, through the tower that is named [V6]${reason}`,
  async () => {
    const golden = (name: string) => sharedPath(`golden/${name}`);
    const source = golden("multimodal_query/released_layout.pth");
    const to = ["--to", "zerogate", "--vision-heads", "4"];
    expect((await run("convert", source, "no-tower", ...to)).stderr).toContain(
      "the file takes tokens of 24 numbers, those of CLIP ViT-L/14 have 768: name its tower (--tower)",
    );
    const named = ["--tower", golden("multimodal_towers/clip"), "--model", golden("llama_gqa/base")];
    expect(await run("convert", source, "released", ...to, ...named)).toMatchObject({ code: 0 });
    const [ours, theirs] = [await readAdapter(at("released")), await readAdapter(golden("multimodal_query/adapter"))];
    expect(ours.params).toEqual(theirs.params);
    expect(ours.seen?.tower).toMatchObject({ hiddenSize: 32, patchSize: 8, channelOrder: "bgr" });
  },
);
