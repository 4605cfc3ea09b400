/** Questions about images: `generate --image`, `/image` in `chat`, and what is refused. The adapter is random, so that it says much. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, createReferenceEngine, partNumbers } from "@zerogate/core";
import { readModelConfig, readTower, saveAdapter } from "@zerogate/core/node";
import { normal } from "@zerogate/core/training";
import { createTower, preprocessImage, towerFeatures } from "@zerogate/core/vision";
import { beforeAll, expect, test } from "vitest";
import { openModel } from "../packages/trainer/dist/index.js";
import { readImage } from "../packages/vision/dist/index.js";
import { drawPicture } from "../packages/zerogate/src/pictures/draw_picture.ts";
import { encodePng } from "../packages/zerogate/src/pictures/png.ts";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
const tower = fileURLToPath(new URL("../packages/trainer/world/tower", import.meta.url));
const features = ["cls@2", "mean@-1"];

const run = (...args: string[]) => zerogateHere(args, { cwd });
const ask = (adapter: string, ...more: string[]) =>
  run(
    "generate",
    "--model",
    base,
    "--adapter",
    adapter,
    "--instruction",
    "What is it?",
    "--max-new-tokens",
    "24",
    ...more,
  );
const answerOf = async (...args: Parameters<typeof ask>) => {
  const { code, stderr, json } = await ask(...args, "--json");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return (json[0] as { text: string }).text;
};

beforeAll(async () => {
  writeFileSync(join(cwd, "ball.png"), encodePng(drawPicture({ shape: "ball", colour: "red" }, 1)));
  writeFileSync(join(cwd, "a star.png"), encodePng(drawPicture({ shape: "star", colour: "blue" }, 2)));
  writeFileSync(join(cwd, "notes.png"), "no picture");
  const model = await readModelConfig(base);
  const { hash, config } = await readTower(tower);
  const vision = { fusion: "global", featureSize: 96, projectionSize: 4, missingImage: "none" } as const;
  const shape = { promptLength: 2, adaptedLayers: 3 };
  const { hiddenSize, layers, imageSize, patchSize } = config;
  const sizes = { modelType: "vit", hiddenSize, layers, imageSize, patchSize };
  const common = { config: adaptionPromptConfig({ adapterLen: 2, adapterLayers: 3 }) };
  const random = (length: number) => Float32Array.from({ length }, (_, i) => normal(7, i));
  for (const [name, nameOrPath] of [
    ["sees", tower],
    ["homeless", undefined],
  ] as const) {
    const layout = adapterLayout({ ...shape, vision }, model);
    const own = { ...sizes, sha256: hash, nameOrPath, channelOrder: "rgb", exif: "apply" } as const;
    const seen = { features, featureNorm: "layer", severalImages: "mean", tower: own } as const;
    await saveAdapter(join(cwd, name), { ...common, layout, params: random(layout.length), seen });
  }
  const transformer = { embedSize: 8, blocks: 1, heads: 2, mlpSize: 8, blockEps: 1e-6, normEps: 1e-5 };
  const query = { fusion: "query", featureSize: 48, ...transformer, missingImage: "none" } as const;
  const tokens = { features: ["tokens@-1"], featureNorm: "none", severalImages: "concat" } as const;
  const asks = adapterLayout({ ...shape, vision: query }, model);
  const eyes = { ...sizes, sha256: hash, nameOrPath: tower, channelOrder: "rgb", exif: "apply" } as const;
  const seen = { ...tokens, tower: eyes };
  const params = random(asks.length);
  for (const part of asks.table) {
    if (part.name === "visual_proj_norm.weight") partNumbers(part, params).fill(20); // so that they say more than the prompts
  }
  await saveAdapter(join(cwd, "queries"), { ...common, layout: asks, params, seen });
  const layout = adapterLayout(shape, model);
  await saveAdapter(join(cwd, "text"), { ...common, layout, params: random(layout.length) });
  cpSync(tower, join(cwd, "other tower"), { recursive: true });
  const settings = join(cwd, "other tower", "preprocessor_config.json");
  writeFileSync(settings, readFileSync(settings, "utf8").replace('"resample": 2', '"resample": 3'));
});

test("an answer depends on the image, and without one it is that of the text adapter", async () => {
  const [none, ball, star] = [
    await answerOf("sees"),
    await answerOf("sees", "--image", "ball.png"),
    await answerOf("sees", "--image", "a star.png"),
  ];
  expect(new Set([none, ball, star]).size).toBe(3);
  expect(await answerOf("text")).toBe(none);
  expect(await answerOf("sees", "--image", "ball.png", "--scale", "0")).toBe(await answerOf("text", "--scale", "0"));
});

test("the library sees what the tower makes of an image, several as their mean", async () => {
  const opened = await openModel({ model: base, adapters: [join(cwd, "sees")], compute: "f32" });
  const { config, image, preprocess } = await readTower(tower);
  const reference = createTower(createReferenceEngine(), config, image);
  const paths = ["ball.png", "a star.png"].map((name) => join(cwd, name));
  const pixels = await Promise.all(paths.map(async (path) => preprocessImage(await readImage(path), preprocess)));
  const { values } = await towerFeatures(reference, pixels, { features });
  const near = (found: Float32Array, expected: (i: number) => number) =>
    found.reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected(i))), 0);
  const one = await opened.look("sees", paths.slice(0, 1));
  expect(one.length).toBe(96);
  expect(near(one, (i) => values[i] ?? 0)).toBeLessThan(1e-4);
  const two = await opened.look("sees", paths);
  expect(near(two, (i) => ((values[i] ?? 0) + (values[96 + i] ?? 0)) / 2)).toBeLessThan(1e-4);
});

test("base and adapters side by side: the base sees nothing", async () => {
  const question = ["--instruction", "What is it?", "--max-new-tokens", "6", "--json"];
  const side = await run("generate", "--model", base, "--compare", "sees", "--image", "ball.png", ...question);
  expect(side.code).toBe(0);
  const { answers } = side.json[0] as { answers: { adapter: string | null; text: string }[] };
  const plain = await run("generate", "--model", base, "--compare", "sees", ...question);
  const without = (plain.json[0] as { answers: typeof answers }).answers;
  expect(answers.map(({ adapter }) => adapter)).toEqual([null, "sees"]);
  expect(answers[0]).toEqual(without[0]);
  expect(answers[1]?.text).not.toBe(without[1]?.text);
});

test("chat asks one instruction about an image, and says which", async () => {
  const input =
    "/image a star.png\nWhat is it?\nWhat is it?\n/image ball.png\n/base\nWhat is it?\n/image gone.png\n/adapter sees\nWhat is it?\n";
  const words = ["chat", "--model", base, "--adapter", "sees", "--max-new-tokens", "24"];
  const { code, stdout, stderr } = await zerogateHere(words, { cwd, input });
  expect(code).toBe(0);
  expect(stdout).toBe(`${await answerOf("sees", "--image", "a star.png")}\n${await answerOf("sees")}\n`);
  expect(stderr).toContain("The next instruction is about a star.png.");
  expect(stderr).toContain("Cannot show an image to the base: it sees none");
  expect(stderr).toMatch(/Cannot read .*gone\.png/);
});

test("chat asks about one image and about two under visual queries as well [V6]", async () => {
  const chat = (input: string) => {
    const words = ["chat", "--model", base, "--adapter", "queries", "--max-new-tokens", "24"];
    return zerogateHere(words, { cwd, input });
  };
  const [ball, star] = ["ball.png", "a star.png"];
  const asked = `/image ${ball}\nWhat is it?\n/image ${star}\n/image ${ball}\nWhat is it?\nWhat is it?\n`;
  const { code, stdout, stderr } = await chat(asked);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const answers = [
    await answerOf("queries", "--image", ball),
    await answerOf("queries", "--image", star, "--image", ball),
    await answerOf("queries"),
  ];
  expect(stdout).toBe(answers.map((text) => `${text}\n`).join(""));
  expect(new Set(answers).size).toBe(3);
  expect(stderr).toContain(`The next instruction is about ${star}, ${ball}.`);
});

test("an adapter without eyes, another tower, a tower that is gone and what is no image are refused by name", async () => {
  const refusal = async (adapter: string, ...more: string[]) => {
    const { code, stderr, stdout } = await ask(adapter, ...more);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    return stderr;
  };
  expect(await refusal("text", "--image", "ball.png")).toContain(
    "Cannot show an image to the adapter text: it was trained without images: use one that was trained with them, or ask without an image",
  );
  expect(await refusal("homeless", "--image", "ball.png")).toContain(
    "Cannot show an image to the adapter homeless: it does not say where its tower is: name the folder with --tower",
  );
  expect(await answerOf("homeless", "--image", "ball.png", "--tower", tower)).toBe(
    await answerOf("sees", "--image", "ball.png"),
  );
  expect(await refusal("sees", "--image", "ball.png", "--tower", "other tower")).toMatch(
    /Cannot use the tower other tower for the adapter sees: its weights or settings have the SHA-256 [0-9a-f]{64}, the adapter was trained with [0-9a-f]{64}: give the folder of that tower with --tower/,
  );
  const accepted = await ask("sees", "--image", "ball.png", "--tower", "other tower", "--accept-tower");
  expect(accepted).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/the tower other tower is accepted for the adapter sees: .* SHA-256/),
  });
  expect(await refusal("sees", "--image", "ball.png", "--tower", "gone")).toContain("gone");
  expect(await refusal("sees", "--image", "notes.png")).toContain("Cannot read the image notes.png");
  const none = await run("generate", "--model", base, "--prompt", "It is", "--image", "ball.png");
  expect(none).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Cannot show an image to the base: it sees none"),
  });
  writeFileSync(join(cwd, "prompts.txt"), "What is it?\n");
  const several = await run("generate", "--model", base, "--prompts", "prompts.txt", "--image", "ball.png");
  expect(several).toMatchObject({ code: 2, stderr: expect.stringContaining("ask with --instruction") });
});

test("a tower that could not be read is read again for the next image", async () => {
  const opened = await openModel({ model: base, adapters: [join(cwd, "sees")], tower: join(cwd, "late tower") });
  const paths = [join(cwd, "ball.png")];
  await expect(opened.look("sees", paths)).rejects.toThrow("late tower");
  cpSync(tower, join(cwd, "late tower"), { recursive: true });
  expect((await opened.look("sees", paths)).length).toBe(96);
});
