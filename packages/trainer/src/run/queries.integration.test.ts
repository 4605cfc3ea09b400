/** Runs of the fusion `query`, from the command line to the finished folder, its answers and its evaluation. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSafetensors } from "@zerogate/core/formats";
import { beforeAll, expect, test } from "vitest";
import { openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { recordsOf, seeingNumbers, writeSeen } from "../../test/seen_pictures.ts";

const place = openPlace();
const { at, run } = place;
const tower = fileURLToPath(new URL("../../world/tower", import.meta.url));
const seeing = {
  "--data": at("seen.json"),
  "--validation-data": at("seen_held.json"),
  "--tower": tower,
  "--fusion": "query",
  "--vision-embed": "8",
  "--vision-mlp": "12",
  "--lr": "0.05",
};
const train = (out: string, changes: Readonly<Record<string, string>> = {}) =>
  run(sixSteps(place, out, { ...seeing, ...changes }));
const resume = (out: string, ...more: string[]) => run(["resume", at(out), "--json", ...more]);
const evaluate = (out: string, data: string, ...more: string[]) =>
  run(["eval", "--adapter", at(out), "--data", at(data), "--engine", "reference", ...more]);
const bytesOf = (out: string, name: string) => readFileSync(join(at(out), "adapter", name));

const numbersOf = (out: string) => seeingNumbers(at(out));

beforeAll(async () => {
  writeSeen(at(""));
  writeFileSync(at("blind.json"), JSON.stringify(recordsOf(() => null)));
  expect(await train("whole", { "--report-answers": "3" })).toMatchObject({ code: 0 });
});

test("a run leaves an adapter with its transformer, and config that says how it sees [V6]", async () => {
  expect(JSON.parse(textOf(at("whole"), "adapter/vision_config.json"))).toMatchObject({
    fusion: "query",
    features: ["tokens@-1"],
    featureNorm: "none",
    featureSize: 48,
    embed: 8,
    blocks: 2,
    heads: 4,
    mlp: 12,
    missingImage: "none",
    severalImages: "concat",
  });
  expect(await train("tokens", { "--features": "tokens@2", "--several-images": "mean" })).toMatchObject({ code: 0 });
  const other = JSON.parse(textOf(at("tokens"), "adapter/vision_config.json")) as object;
  expect(other).toMatchObject({ features: ["tokens@2"], severalImages: "mean" });
  expect(numbersOf("tokens")).not.toBe(numbersOf("whole"));
});

test.each([
  ["two workers", { "--workers": "2" }],
  ["three workers in processes", { "--workers": "3", "--isolate": "" }],
  ["a cold cache", { "--cache-dir": at("cold") }],
])("with %s it has the same SHA-256 [V6, V9]", async (title, changes) => {
  const out = title.replaceAll(" ", "-");
  const { "--isolate": isolate, ...flags } = changes as Readonly<Record<string, string>>;
  const args = [...sixSteps(place, out, { ...seeing, ...flags }), ...(isolate === undefined ? [] : ["--isolate"])];
  expect(await run(args)).toMatchObject({ code: 0 });
  expect(numbersOf(out)).toBe(numbersOf("whole"));
});

test("stopped in the middle of an epoch, and resumed with a cold cache and other workers, it has the same SHA-256 [V6, V9]", async () => {
  const flags = sixSteps(place, "stopped", seeing);
  expect(await run(flags, { onLine: ({ step }, stop) => step === 4 && stop() })).toMatchObject({ code: 130 });
  expect(await resume("stopped", "--cache-dir", at("other"), "--workers", "2")).toMatchObject({ code: 0 });
  expect(numbersOf("stopped")).toBe(numbersOf("whole"));
});

test("it is verified, and its steps done again are the same [V6, V9]", async () => {
  expect(await run(["verify", at("whole"), "--replay", "3..6"])).toMatchObject({ code: 0 });
});

test("frozen visual parts stay as they are, their queries are made once, and prompts learn: one SHA-256 [V6, V9]", async () => {
  const frozen = { "--init-adapter": at("whole/adapter"), "--vision-parts": "frozen", "--cache-dir": at("kept") };
  const first = await train("frozen", frozen);
  expect(first).toMatchObject({ code: 0 });
  expect(first.stderr).toContain("making queries of images of data");
  expect(readdirSync(at("kept")).filter((name) => name.startsWith("rows-"))).toHaveLength(1);
  expect(bytesOf("frozen", "vision.safetensors").equals(bytesOf("whole", "vision.safetensors"))).toBe(true);
  const file = "adapter_model.safetensors";
  expect(bytesOf("frozen", file).equals(bytesOf("whole", file))).toBe(false);
  const warm = await train("warm", { ...frozen, "--workers": "2" });
  expect(warm).toMatchObject({ code: 0 });
  expect(warm.stderr).not.toContain("making queries");
  const [pack = ""] = readdirSync(at("kept")).filter((name) => name.startsWith("rows-"));
  const path = join(at("kept"), pack);
  const bytes = readFileSync(path);
  bytes[bytes.length - 40] = (bytes.at(-40) ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const again = await train("again", frozen);
  expect(again.stderr).toContain("the rows are made again");
  for (const out of ["warm", "again"]) expect(numbersOf(out)).toBe(numbersOf("frozen"));
  const stopped = sixSteps(place, "halted", { ...seeing, ...frozen });
  expect(await run(stopped, { onLine: ({ step }, stop) => step === 3 && stop() })).toMatchObject({ code: 130 });
  expect(await resume("halted")).toMatchObject({ code: 0 });
  expect(numbersOf("halted")).toBe(numbersOf("frozen"));
});

test("what is frozen has no moments, in memory or in a checkpoint, and a resume and a replay have the same bits [V6, V9]", async () => {
  const frozen = { "--init-adapter": at("whole/adapter"), "--vision-parts": "frozen", "--cache-dir": at("kept") };
  const flags = sixSteps(place, "frozen-stopped", { ...seeing, ...frozen });
  expect(await run(flags, { onLine: ({ step }, stop) => step === 4 && stop() })).toMatchObject({ code: 130 });
  const sizesIn = (path: string) => {
    const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
    return [...tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  };
  const folder = join(at("frozen-stopped"), "checkpoints/step-4");
  const prompts = sizesIn(join(folder, "adapter_model.safetensors")).reduce((a, b) => a + b, 0);
  expect(sizesIn(join(folder, "optimizer.safetensors"))).toEqual([prompts, prompts]);
  expect(await resume("frozen-stopped", "--workers", "2")).toMatchObject({ code: 0 });
  expect(numbersOf("frozen-stopped")).toBe(numbersOf("frozen"));
  expect(await run(["verify", at("frozen-stopped"), "--replay", "3..6"])).toMatchObject({ code: 0 });
  const planned = await run([...sixSteps(place, "planned", { ...seeing, ...frozen }), "--dry-run"]);
  const total = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0);
  const [eyes, visual] = [sizesIn(join(tower, "model.safetensors")), sizesIn(join(folder, "vision.safetensors"))];
  const classifier = 10 * 48 + 10; // is not read
  const rows = 4 * 4 * 10 * 16; // of three images and one of two, in training and in validation
  expect(planned.json[0]).toMatchObject({
    trainable: expect.stringContaining(`trainable params: ${prompts} `) as unknown,
    memory: { images: 2 * rows + 4 * (total(eyes) - classifier) + 8 * total(visual) },
  });
});

test("queries that are kept belong to their groups of images: means of others are made anew [V6, V11]", async () => {
  const start = { "--init-adapter": at("tokens/adapter"), "--vision-parts": "frozen", "--report-answers": "0" };
  const frozen = { ...start, "--features": "tokens@2", "--several-images": "mean" };
  const grouped = async (out: string, other: number, cache: string) => {
    const group = ["pictures/0.png", `pictures/${other}.png`];
    writeFileSync(at(`${out}.json`), JSON.stringify(recordsOf((i) => (i % 4 < 3 ? `pictures/${i % 4}.png` : group))));
    const ran = await train(out, { ...frozen, "--data": at(`${out}.json`), "--cache-dir": at(cache) });
    expect(ran).toMatchObject({ code: 0 });
    return numbersOf(out);
  };
  const first = await grouped("first-group", 1, "groups");
  const second = await grouped("second-group", 2, "groups");
  expect(second).not.toBe(first);
  expect(await grouped("second-group-cold", 2, "groups-cold")).toBe(second);
});

test("records without an image get nothing, or the tower's image of zeros, also where none has an image [V6]", async () => {
  const zero = { "--missing-image": "zero-image" };
  expect(await train("zero", zero)).toMatchObject({ code: 0 });
  expect(numbersOf("zero")).not.toBe(numbersOf("whole"));
  const blind = { "--data": at("blind.json"), "--validation-data": at("blind.json") };
  const none = await train("none", blind);
  expect(none.stderr).toContain("no record of data has an image");
  expect(await train("all-zero", { ...blind, ...zero })).toMatchObject({ code: 0 });
  const file = "adapter_model.safetensors";
  expect(bytesOf("all-zero", file).equals(bytesOf("none", file))).toBe(false);
  expect(await evaluate("zero", "blind.json")).toMatchObject({ code: 0 });
});

test("of the fusion global zeros and the image of zeros are two things", async () => {
  const flags = { "--fusion": "global", "--vision-embed": "0", "--vision-mlp": "0" };
  for (const missing of ["zeros", "zero-image"]) {
    expect(await train(`global-${missing}`, { ...flags, "--missing-image": missing })).toMatchObject({ code: 0 });
  }
  expect(numbersOf("global-zeros")).not.toBe(numbersOf("global-zero-image"));
});

test("a text adapter starts to see without losing what it was, and one that sees goes on with its own sizes [V7]", async () => {
  const blind = { "--tower": "none", "--fusion": "global", "--vision-embed": "0", "--vision-mlp": "0" };
  expect(await train("text", blind)).toMatchObject({ code: 0 });
  const start = { "--init-adapter": at("text/adapter"), "--steps": "1" };
  const [seen, plain] = [await train("begins", start), await train("plain", { ...start, ...blind })];
  const lossOf = ({ json }: typeof seen) => json.find(({ step }) => step === 1)?.["loss"];
  expect(lossOf(seen)).toBeTypeOf("number");
  expect(lossOf(seen)).toBe(lossOf(plain));
  const wider = await train("wider", { "--init-adapter": at("whole/adapter"), "--vision-embed": "16" });
  expect(wider).toMatchObject({ code: 2 });
  expect(wider.stderr).toContain("it was trained with queries of width 8, not 16: --vision-embed 8");
  const frozen = { "--init-adapter": at("text/adapter"), "--vision-parts": "frozen" };
  expect((await train("never", frozen)).stderr).toContain("it sees no images, and visionParts is frozen");
});

test("it answers about images, several of them too, and is evaluated with own, no and others' [V6]", async () => {
  const ask = async (...more: string[]) => {
    const args = ["generate", "--adapter", at("whole"), "--instruction", "What is it?", "--max-new-tokens", "12"];
    const { code, stderr, json } = await run([...args, ...more, "--json"]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return (json[0] as { text: string }).text;
  };
  const images = (...own: number[]) => own.flatMap((i) => ["--image", at(`pictures/${i}.png`)]);
  const answers = [await ask(), await ask(...images(0)), await ask(...images(1)), await ask(...images(0, 2))];
  expect(new Set(answers).size).toBeGreaterThan(1);
  const found = await evaluate("whole", "seen.json", "--json");
  expect(found).toMatchObject({ code: 0 });
  const { images: conditions } = found.json[0] as { images: { condition: string; loss: number }[] };
  expect(conditions.map(({ condition }) => condition)).toEqual(["image", "no image", "shuffled images"]);
  expect(new Set(conditions.map(({ loss }) => loss)).size).toBe(3);
});

test.each([
  ["vectors", { "--features": "mean@4" }, "visual queries see tokens: name tokens.projected or tokens@-1"],
  ["heads that do not divide", { "--vision-heads": "3" }, "a width of 8 does not divide over 3 heads"],
  ["zeros", { "--missing-image": "zeros" }, "missingImage is zeros, which is for the fusion global"],
  ["a projection", { "--projection-size": "4" }, "projectionSize is 4, which is not for the fusion query"],
  ["frozen parts of nothing", { "--vision-parts": "frozen" }, "visionParts is frozen, and nothing was trained"],
  ["more than memory holds", { "--vision-embed": "65536", "--vision-blocks": "1024" }, "lower --vision-embed"],
])("%s are refused before anything is written", async (_, changes, said) => {
  const refused = await train("refused", changes);
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain(said);
});
