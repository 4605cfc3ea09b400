/** Three pictures on disk, records about one, two and none of them, and the numbers of an adapter that has seen them. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawnPng } from "./drawn_png.ts";

const names = ["red", "green", "blue"];
const colours = [
  [200, 30, 20],
  [20, 180, 40],
  [30, 40, 210],
] as const;

/** Writes `pictures/0.png` to `pictures/2.png` into a folder, and `seen.json` and `seen_held.json` about them. */
export function writeSeen(folder: string): void {
  mkdirSync(join(folder, "pictures"));
  for (const [i, colour] of colours.entries()) {
    writeFileSync(join(folder, `pictures/${i}.png`), drawnPng([90 + i, 90, 90], colour, 10 + 4 * i));
  }
  writeFileSync(join(folder, "seen.json"), JSON.stringify(recordsOf(imageOf)));
  writeFileSync(join(folder, "seen_held.json"), JSON.stringify(recordsOf(imageOf).slice(4, 8)));
}

/** In turn: one picture, two, none, no field. */
export const imageOf = (i: number): unknown =>
  [`pictures/${i % 3}.png`, ["pictures/0.png", "pictures/2.png"], null, undefined][i % 4];

/** Twelve records. @param image what record i has in the field `image` */
export function recordsOf(image: (i: number) => unknown): object[] {
  return Array.from({ length: 12 }, (_, i) => ({
    instruction: "What is in the picture?",
    output: `It is ${names[i % 3] ?? ""} ${i}.`,
    image: image(i),
  }));
}

/** SHA-256 of all numbers of the adapter of a finished run. */
export function seeingNumbers(run: string): string {
  const hash = createHash("sha256");
  for (const name of ["adapter_model.safetensors", "vision.safetensors"]) {
    hash.update(readFileSync(join(run, "adapter", name)));
  }
  return hash.digest("hex");
}
