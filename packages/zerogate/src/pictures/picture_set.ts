/** Sets of drawn pictures with a question and its answer: records as Alpaca's, each with the path of its image. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomBits } from "@zerogate/core/training";
import { type Colour, colours, drawPicture, type Shape, shapes, type Thing } from "./draw_picture.ts";
import { encodePng } from "./png.ts";

/** A question about a picture. */
export interface PictureRecord {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
  /** Relative to the file of records. */
  readonly image: string;
}

/** What is asked about all pictures of a set. */
export type PictureQuestion = keyof typeof questions;

const questions: Readonly<Record<"thing" | "colour", { instruction: string; answer: (thing: Thing) => string }>> = {
  thing: { instruction: "What is it?", answer: ({ colour, shape }) => `a ${colour} ${shape}` },
  colour: { instruction: "Which colour is it?", answer: ({ colour }) => colour },
};

/** All answers that there are to a question, in a fixed order. */
export function pictureAnswers(question: PictureQuestion): string[] {
  return [...new Set(everyThing.map(questions[question].answer))];
}

const everyThing: readonly Thing[] = (Object.keys(colours) as Colour[]).flatMap((colour) =>
  shapes.map((shape: Shape) => ({ shape, colour })),
);

/** How a set is drawn. */
export interface PictureSetOptions {
  readonly count: number;
  /** Sets of different seeds share no picture. */
  readonly seed: number;
  /** @default "thing" */
  readonly question?: PictureQuestion;
}

/**
 * Draws a set into `folder/NAME/` and writes its records to `folder/NAME.json`. All things come equally often, in an order that
 * the seed shuffles.
 */
export async function writePictureSet(
  folder: string,
  name: string,
  { count, seed, question = "thing" }: PictureSetOptions,
): Promise<PictureRecord[]> {
  await mkdir(join(folder, name), { recursive: true });
  const { instruction, answer } = questions[question];
  const digits = String(count).length;
  const records = await Promise.all(
    thingsOf(count, seed).map(async (thing, i): Promise<PictureRecord> => {
      const image = `${name}/${String(i + 1).padStart(digits, "0")}.png`;
      await writeFile(join(folder, image), encodePng(drawPicture(thing, randomBits(seed, i))));
      return { instruction, input: "", output: answer(thing), image };
    }),
  );
  await writeFile(
    join(folder, `${name}.json`),
    `[\n${records.map((record) => JSON.stringify(record)).join(",\n")}\n]\n`,
  );
  return records;
}

function thingsOf(count: number, seed: number): Thing[] {
  return Array.from({ length: count }, (_, i) => ({ i, key: randomBits(seed, i, 1) }))
    .toSorted((a, b) => a.key - b.key || a.i - b.i)
    .flatMap(({ i }) => everyThing[i % everyThing.length] ?? []);
}
