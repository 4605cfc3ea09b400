/** The base that comes with zerogate with another tokenizer. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base } from "./world.ts";

/** Copies the base to `folder` and changes its tokenizer.json. */
export function writeBase(folder: string, change: (json: Record<string, unknown>) => object): void {
  cpSync(base, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...json, ...change(json) }).replaceAll('"Regex"', '"\\u0052egex"'));
}

/** A base whose expression never ends on a text of many z. */
export function writeEndless(folder: string): void {
  const split = { type: "Split", pattern: { Regex: "(z+)+!" }, behavior: "Isolated", invert: false };
  writeBase(folder, () => ({ pre_tokenizer: split }));
}
