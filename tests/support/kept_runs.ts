/** Short runs that keep all their checkpoints, in a folder of one test file. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { testFolder } from "./cli.ts";
import { zerogateHere } from "./here.ts";
import { tinyRun } from "./world.ts";

const saves = { "--save-every": "1", "--eval-every": "2", "--keep-checkpoints": "9" };

export const folder: string = testFolder();
export const flags: readonly string[] = tinyRun(folder, saves);
export const run = (out: string): string => join(folder, out);
export const file = (out: string, name: string): string => join(run(out), name);
export const call = (...args: string[]): ReturnType<typeof zerogateHere> => zerogateHere(args, { cwd: folder });
export const receipt = (out: string): string => readFileSync(file(out, "receipt.jsonl"), "utf8");
export const checkpoints = (out: string): string[] => readdirSync(file(out, "checkpoints")).toSorted();
