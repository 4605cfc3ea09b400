/** Runs whose records have images, from the command line to the finished folder: one SHA-256, whatever happens on the way. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { copyOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { drawnPng } from "../../test/drawn_png.ts";
import { imageOf, recordsOf, seeingNumbers, writeSeen } from "../../test/seen_pictures.ts";

const place = openPlace();
const { at, run } = place;
const tower = fileURLToPath(new URL("../../world/tower", import.meta.url));
const seeing = { "--data": at("seen.json"), "--validation-data": at("seen_held.json"), "--tower": tower };
const train = (out: string, changes: Readonly<Record<string, string>> = {}) =>
  run(sixSteps(place, out, { ...seeing, "--lr": "0.05", ...changes }));
const resume = (out: string, ...more: string[]) => run(["resume", at(out), "--json", ...more]);

const numbersOf = (out: string) => seeingNumbers(at(out));

beforeAll(async () => {
  writeSeen(at(""));
  const whole = await train("whole");
  expect(whole).toMatchObject({ code: 0 });
  expect(whole.stderr).toContain("looking at images of data 3/3");
});

test("a run that sees images leaves an adapter that says through which tower, and another one than without images [V9]", async () => {
  const config = JSON.parse(textOf(at("whole"), "adapter/vision_config.json")) as Record<string, unknown>;
  expect(config).toMatchObject({ fusion: "global", features: ["cls@1", "cls@2", "cls@3", "cls@4"], featureSize: 192 });
  expect(config["projection"]).toEqual([192, 32, 16]);
  expect(config["tower"]).toMatchObject({ modelType: "vit", nameOrPath: tower });
  expect(JSON.parse(textOf(at("whole"), "config.json"))).toMatchObject({ tower, features: "global" });
  expect(await train("blind", { "--tower": "none" })).toMatchObject({ code: 0 });
  expect(existsSync(at("blind/adapter/vision.safetensors"))).toBe(false);
  const prompts = (out: string) => readFileSync(at(`${out}/adapter/adapter_model.safetensors`));
  expect(prompts("blind")).not.toEqual(prompts("whole"));
});

test.each([
  ["two workers", { "--workers": "2" }],
  ["three workers", { "--workers": "3" }],
  ["a cold cache", { "--cache-dir": at("cold") }],
  ["answers for the report", { "--report-answers": "3" }],
])("with %s it has the same SHA-256 [V9]", async (title, changes) => {
  const out = title.replaceAll(" ", "-");
  expect(await train(out, changes)).toMatchObject({ code: 0 });
  expect(numbersOf(out)).toBe(numbersOf("whole"));
});

test("stopped in the middle of an epoch, and resumed with a cold cache and other workers, it has the same SHA-256 [V9]", async () => {
  const flags = sixSteps(place, "stopped", { ...seeing, "--lr": "0.05" });
  const stopped = await run(flags, { onLine: ({ step }, stop) => step === 4 && stop() });
  expect(stopped).toMatchObject({ code: 130 });
  expect(await resume("stopped", "--cache-dir", at("other"), "--workers", "2")).toMatchObject({ code: 0 });
  expect(numbersOf("stopped")).toBe(numbersOf("whole"));
});

test("it is verified, and its steps done again are the same [V9]", async () => {
  const verified = await run(["verify", at("whole"), "--replay", "3..6"]);
  expect(verified).toMatchObject({ code: 0 });
  const forged = copyOf(place, "whole", "forged");
  const path = join(forged, "adapter", "vision.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const found = await run(["verify", forged]);
  expect(found.code).not.toBe(0);
  expect(found.stdout + found.stderr).toContain("adapter/vision.safetensors is not that of");
});

test("a picture that changed is changed data, which a resume refuses [V9]", async () => {
  const flags = sixSteps(place, "changed", { ...seeing, "--lr": "0.05" });
  await run(flags, { onLine: ({ step }, stop) => step === 3 && stop() });
  const before = readFileSync(at("pictures/1.png"));
  writeFileSync(at("pictures/1.png"), drawnPng([1, 2, 3], [4, 250, 6], 20));
  try {
    const refused = await resume("changed");
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain("the data, its tokens or what is held out changed");
  } finally {
    writeFileSync(at("pictures/1.png"), before);
  }
  expect(await resume("changed")).toMatchObject({ code: 0 });
  expect(numbersOf("changed")).toBe(numbersOf("whole"));
});

test("records without images have the bits of a text run, and are said to teach nothing about images [V7]", async () => {
  writeFileSync(at("texts.json"), JSON.stringify(recordsOf(() => undefined)));
  const texts = { "--data": at("texts.json"), "--validation-data": at("texts.json") };
  const seen = await train("texts-seen", texts);
  expect(seen).toMatchObject({ code: 0 });
  expect(seen.stderr).toContain("no record of data has an image: what is trained for images learns nothing from it");
  expect(await train("texts-blind", { ...texts, "--tower": "none" })).toMatchObject({ code: 0 });
  const prompts = (out: string) => readFileSync(at(`${out}/adapter/adapter_model.safetensors`));
  expect(prompts("texts-seen")).toEqual(prompts("texts-blind"));
});

test("a text run says how many records have an image that it does not read", async () => {
  const blind = await train("unread", { "--tower": "none", "--steps": "1" });
  expect(blind).toMatchObject({ code: 0 });
  expect(blind.stderr).toContain('fields of data are not used, here with their records: "image" (6)');
});

test("images that are missing, broken or outside are bad records, refused or left out and counted [V14]", async () => {
  writeFileSync(at("pictures/broken.png"), readFileSync(at("pictures/0.png")).subarray(0, 60));
  const bad = ["pictures/none.png", "pictures/broken.png", "../base/config.json"];
  writeFileSync(at("bad.json"), JSON.stringify(recordsOf((i) => bad[i] ?? imageOf(i))));
  const refused = await train("refused", { "--data": at("bad.json") });
  expect(refused).toMatchObject({ code: 2 });
  for (const name of bad) expect(refused.stderr).toContain(name);
  const flags = sixSteps(place, "skipped", { ...seeing, "--data": at("bad.json"), "--steps": "1" });
  const skipped = await run([...flags, "--skip-bad-records"]);
  expect(skipped).toMatchObject({ code: 0 });
  expect(skipped.stderr).toContain("3 records of data were left out: bad");
});

test("an adapter that has seen images goes on through its own tower only; a text adapter starts to see", async () => {
  const start = { "--init-adapter": at("whole/adapter"), "--steps": "1" };
  const without = await train("without", { ...start, "--tower": "none" });
  expect(without).toMatchObject({ code: 2 });
  expect(without.stderr).toContain("name it with --tower");
  const other = await train("other-features", { ...start, "--features": "cls@4" });
  expect(other).toMatchObject({ code: 2 });
  expect(other.stderr).toContain("--features cls@1,cls@2,cls@3,cls@4");
  expect(await train("goes-on", start)).toMatchObject({ code: 0 });
  expect(await train("reads", { "--tower": "none", "--steps": "1" })).toMatchObject({ code: 0 });
  const from = { "--init-adapter": at("reads/adapter"), "--steps": "1", "--lr": "0.01" };
  expect(await train("learns-to-see", from)).toMatchObject({ code: 0 });
  expect(existsSync(at("learns-to-see/adapter/vision.safetensors"))).toBe(true);
});

test.each([
  ["features that are tokens", { "--features": "tokens@4" }, "a projection takes one vector for each image"],
  ["features that are not there", { "--features": "cls@9" }, "outside of the tower"],
  ["a tower that is none", { "--tower": at("pictures") }, "config.json"],
])("%s are refused before anything is written", async (_, changes, said) => {
  const refused = await train("never", changes);
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain(said);
  expect(existsSync(at("never"))).toBe(false);
});
