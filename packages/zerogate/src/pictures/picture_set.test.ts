/** Sets of pictures on disk: files that decoders read as they were drawn, records that name them, answers in equal shares. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBits } from "@zerogate/core/training";
import { readImage } from "@zerogate/vision";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Colour, drawPicture, type Shape } from "./draw_picture.ts";
import { pictureAnswers, writePictureSet } from "./picture_set.ts";
import { encodePng } from "./png.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zerogate-pictures-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a PNG has the pixels of the image, whatever its sides", async () => {
  for (const [width, height] of [
    [1, 1],
    [1, 300],
    [257, 3],
  ] as const) {
    const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => randomBits(i, width) & 255);
    await writeFile(join(folder, "one.png"), encodePng({ width, height, data }));
    const read = await readImage(join(folder, "one.png"));
    expect(read).toMatchObject({ width, height });
    expect(Buffer.from(read.data).equals(data)).toBe(true);
  }
});

test("a set has a record and a picture for each thing, as often as any other", async () => {
  const records = await writePictureSet(folder, "some", { count: 36, seed: 5 });
  expect(JSON.parse(await readFile(join(folder, "some.json"), "utf8"))).toEqual(records);
  expect((await readdir(join(folder, "some"))).length).toBe(36);
  const counts = new Map<string, number>();
  for (const { output } of records) counts.set(output, (counts.get(output) ?? 0) + 1);
  expect([...counts.keys()].toSorted()).toEqual(pictureAnswers("thing").toSorted());
  expect([...counts.values()]).toEqual(Array.from({ length: 12 }, () => 3));
  expect(records[0]).toMatchObject({ instruction: "What is it?", input: "", image: "some/01.png" });
  for (const [i, { output, image }] of records.entries()) {
    const [, colour, shape] = output.split(" ");
    const drawn = drawPicture({ colour: colour as Colour, shape: shape as Shape }, randomBits(5, i));
    expect(Buffer.from((await readImage(image, { root: folder })).data).equals(drawn.data)).toBe(true);
  }
});

test("sets of other seeds share no picture, and the order does not follow the answers", async () => {
  const sets = await Promise.all([1, 2].map((seed) => writePictureSet(folder, `set${seed}`, { count: 60, seed })));
  const files = sets.flat().map(({ image }) => readFile(join(folder, image), "latin1"));
  expect(new Set(await Promise.all(files)).size).toBe(120);
  expect(sets[0]?.map(({ output }) => output)).not.toEqual(sets[1]?.map(({ output }) => output));
});

test("the colour alone can be asked for", async () => {
  const records = await writePictureSet(folder, "colours", { count: 12, seed: 5, question: "colour" });
  expect(new Set(records.map(({ output }) => output))).toEqual(new Set(pictureAnswers("colour")));
  expect(pictureAnswers("colour")).toEqual(["red", "green", "blue", "yellow"]);
  expect(records[0]?.instruction).toBe("Which colour is it?");
});
