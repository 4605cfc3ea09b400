/** Runs of two steps on the same records in another file: what they were trained on, and their adapter. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, testFolder } from "./cli.ts";
import { zerogateHere } from "./here.ts";
import { adapterHash, records, tinyRun, trainWords } from "./world.ts";

/** Where the files lie. */
export const cwd: string = testFolder();

let runs = 0;

/** Trains on a file; the token cache, which is by bytes, is left out of it. */
export async function trainOn(file: string, more: readonly string[] = []) {
  const out = `run-${runs++}`;
  const cold = join(cwd, `${out}-cache`);
  const flags = tinyRun(cwd, { "--data": file, "--cache-dir": cold, "--steps": "2" });
  const words = trainWords(flags, out, 2, more);
  const ended = await zerogateHere(words, { cwd });
  if (ended.code !== 0) throw new Error(`${file}: ${ended.stderr}`);
  const [start] = jsonLines(readFileSync(join(cwd, out, "receipt.jsonl"), "utf8"));
  return {
    data: start?.["hashes"],
    adapter: adapterHash(join(cwd, out)),
    stderr: ended.stderr,
  };
}

/** The records of `data.json`, which `tinyRun` trains on, as rows of a table. */
export const rows = (): { instruction: string; input: string; output: string }[] =>
  records("train.json", 64).map(({ instruction, input, output }) => ({ instruction, input, output }));
