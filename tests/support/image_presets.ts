/** Forms of data with images, drawn into a folder, and what a preset does with them through the command. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect } from "vitest";
import { drawPicture } from "../../packages/zerogate/src/pictures/draw_picture.ts";
import { encodePng } from "../../packages/zerogate/src/pictures/png.ts";
import { testFolder } from "./cli.ts";
import { zerogateHere } from "./here.ts";
import { base } from "./world.ts";

const cwd = testFolder();
const tower = fileURLToPath(new URL("../../packages/trainer/world/tower", import.meta.url));
const run = (...args: string[]) => zerogateHere(args, { cwd });
const colours = ["red", "blue", "green"] as const;
const colourOf = (i: number) => colours[i % colours.length] ?? "red";

beforeAll(() => {
  const problems: Record<string, object> = {};
  const splits: Record<string, string[]> = { train: [], val: [], test: [] };
  mkdirSync(join(cwd, "photos"));
  for (let i = 0; i < 12; i++) {
    const picture = encodePng(drawPicture({ shape: "ball", colour: colourOf(i) }, i));
    writeFileSync(join(cwd, "photos", `${i}.png`), picture);
    const split = i < 8 ? "train" : i < 10 ? "val" : "test";
    mkdirSync(join(cwd, "qa/images", split, String(i)), { recursive: true });
    writeFileSync(join(cwd, "qa/images", split, String(i), "image.png"), picture);
    const asked = { question: "Which colour?", choices: [...colours], answer: i % 3, hint: "", image: "image.png" };
    const about = { grade: "grade2", subject: "natural science", skill: "s", lecture: "", solution: "", split };
    problems[i] = { ...asked, ...about };
    splits[split]?.push(String(i));
  }
  writeFileSync(join(cwd, "qa/problems.json"), JSON.stringify(problems));
  writeFileSync(join(cwd, "qa/pid_splits.json"), JSON.stringify(splits));
  const images = Array.from({ length: 12 }, (_, i) => ({ id: i, file_name: `photos/${i}.png` }));
  const annotations = images.map(({ id }) => ({ id, image_id: id, caption: `A ${colourOf(id)} ball.` }));
  writeFileSync(join(cwd, "captions.json"), JSON.stringify({ images, annotations }));
  const talks = images.map(({ id, file_name: image }) => ({
    id: String(id),
    image,
    conversations: [
      { from: "human", value: "<image>\nWhat is it?" },
      { from: "gpt", value: `A ${colourOf(id)} ball.` },
      { from: "human", value: "Which colour?" },
      { from: "gpt", value: `It is ${colourOf(id)}.` },
    ],
  }));
  writeFileSync(join(cwd, "talks.json"), JSON.stringify(talks));
});

const short = [
  "--max-length",
  "256",
  "--epochs",
  "1",
  "--batch-size",
  "4",
  "--warmup-epochs",
  "0",
  "--blr",
  "4",
  "--workers",
  "1",
];

interface Preset {
  readonly title: string;
  readonly preset: readonly string[];
  readonly data: string;
  /** Held out. */
  readonly held: string;
  readonly records: number;
  readonly asked: string;
}

/** Trains for an epoch, asks about an image, and evaluates. */
export async function expectPreset({ title, preset, data, held, records, asked }: Preset): Promise<void> {
  const out = title.replaceAll(" ", "-");
  const files = ["--data", data, "--validation-data", held, "--tower", tower];
  const trained = await run("train", "--model", base, ...files, ...preset, ...short, "--out", out);
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
  const config = JSON.parse(readFileSync(join(cwd, out, "config.json"), "utf8")) as object;
  expect(config).toMatchObject({ tower, epochs: 1, batchSize: 4 });
  const lines = readFileSync(join(cwd, out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.filter((line) => !("event" in (JSON.parse(line) as object)))).toHaveLength(records / 4);
  const question = ["--adapter", out, "--instruction", asked, "--max-new-tokens", "4", "--json"];
  const [about, blind] = [
    await run("generate", ...question, "--image", "photos/0.png"),
    await run("generate", ...question),
  ];
  expect([about.code, blind.code]).toEqual([0, 0]);
  const reading = preset.includes("--conversation") ? preset : [];
  const found = await run("eval", "--adapter", out, "--data", data, "--workers", "1", "--json", ...reading);
  expect(found, found.stderr).toMatchObject({ code: 0 });
  const { images, samples, science } = found.json[0] as unknown as {
    images: readonly { condition: string; loss: number }[];
    samples: number;
    science?: { results: readonly { condition: string }[] };
  };
  expect(images.map(({ condition }) => condition)).toEqual(["image", "no image", "shuffled images"]);
  expect(new Set(images.map(({ loss }) => loss)).size).toBe(3);
  expect(samples).toBe(data === "qa" ? 2 : records); // of ScienceQA the split for tests
  expect(science?.results.map(({ condition }) => condition)).toEqual(
    data === "qa" ? ["image", "no image", "shuffled images"] : undefined,
  );
}
