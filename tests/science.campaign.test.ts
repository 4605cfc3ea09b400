/** ScienceQA through the command: trained with images, and evaluated by class under each condition. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { drawPicture } from "../packages/zerogate/src/pictures/draw_picture.ts";
import { encodePng } from "../packages/zerogate/src/pictures/png.ts";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
const tower = fileURLToPath(new URL("../packages/trainer/world/tower", import.meta.url));
const run = (...args: string[]) => zerogateHere(args, { cwd });
const COUNT = 24;

/** What the picture shows is the answer: without it there is nothing to know. */
beforeAll(() => {
  const problems: Record<string, object> = {};
  const splits: Record<string, string[]> = { train: [], val: [], test: [] };
  for (let i = 1; i <= COUNT; i++) {
    const split = i > 20 ? "test" : i > 16 ? "val" : "train";
    const answer = i % 2;
    const colour = answer === 0 ? "red" : "blue";
    const folder = join(cwd, "qa/images", split, String(i));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "image.png"), encodePng(drawPicture({ shape: "ball", colour }, i)));
    const subject = i % 4 < 2 ? "natural science" : "social science";
    const asked = { question: "Which colour?", choices: ["red", "blue"], answer, hint: "", image: "image.png" };
    problems[i] = { ...asked, grade: `grade${1 + (i % 12)}`, subject, skill: "s", lecture: "", solution: "", split };
    splits[split]?.push(String(i));
  }
  writeFileSync(join(cwd, "qa/problems.json"), JSON.stringify(problems));
  writeFileSync(join(cwd, "qa/pid_splits.json"), JSON.stringify(splits));
});

interface Evaluated {
  readonly images: readonly { readonly condition: string; readonly loss: number }[];
  readonly loss: number;
  readonly science: {
    readonly results: readonly { readonly condition: string; readonly options: readonly object[] }[];
    readonly unanswered: number;
  };
}

test("a run on ScienceQA learns what its images show, and eval says so by class under three conditions [V13]", async () => {
  const data = ["--data", "qa", "--validation-data", "qa", "--template", "scienceqa"];
  const shape = ["--features", "cls@2,mean@-1", "--adapter-layers", "4", "--steps", "200", "--batch-size", "8"];
  const rest = ["--lr", "0.02", "--workers", "1", "--report-answers", "0", "--out", "run"];
  const trained = await run("train", "--model", base, "--tower", tower, ...data, ...shape, ...rest);
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
  const found = await run("eval", "--adapter", "run", "--data", "qa#train", "--workers", "1", "--json");
  expect(found, found.stderr).toMatchObject({ code: 0 });
  const { images, loss, science } = found.json[0] as unknown as Evaluated;
  expect(images.map(({ condition }) => condition)).toEqual(["image", "no image", "shuffled images"]);
  const [own, none, others] = images.map((one) => one.loss);
  expect(own).toBeCloseTo(loss, 4);
  expect(own).toBeLessThan(none ?? 0);
  expect(own).toBeLessThan(others ?? 0);
  expect(science.unanswered).toBe(0);
  const average = { name: "AVG", problems: 16 };
  expect(science.results[0]?.options).toContainEqual({ ...average, accuracy: 100 });
  for (const { options } of science.results.slice(1)) expect(options).not.toContainEqual({ ...average, accuracy: 100 });
});

test("without a split eval takes the one for tests, and prints a table; the base alone has one condition", async () => {
  const { code, stdout, stderr } = await run(
    "eval",
    "--model",
    base,
    "--data",
    "qa",
    "--template",
    "scienceqa",
    "--workers",
    "1",
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/problems +2 +2 +0 +0 +4 +0 +\d +\d +4\n/);
  expect(stdout).toMatch(/chance +50\.00 +50\.00 +– +– +50\.00 +– /);
  expect(stdout).toContain("options, no image");
  expect(stdout).not.toContain("shuffled");
  expect(stderr).toContain('"image" (4)');
});

test("a tower for what sees no images is refused", async () => {
  const { code, stderr } = await run("eval", "--model", base, "--data", "qa", "--tower", tower);
  expect(code).toBe(2);
  expect(stderr).toContain("Cannot evaluate with images: the base alone sees none: leave out --tower");
});
