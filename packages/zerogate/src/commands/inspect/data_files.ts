/** Instruction data, or what is in the place of it. */
import { InputError } from "@zerogate/core";
import type { FileDescription } from "@zerogate/core/formats";
import {
  describeProblem,
  findMissingImages,
  isChat,
  listScienceSplits,
  type RecordImages,
  readRecords,
} from "@zerogate/data";
import { ownCommand } from "@zerogate/run-config";
import type { Facts } from "./facts.ts";

/** Names of what is meant to be data. */
export const dataName: RegExp = /\.(?:jsonl?|ndjson|csv|tsv|tab|parquet|arrow|feather|xlsx|txt)(?:\.(?:gz|zst))?$/i;

/** Facts of a file, or of a folder of files, as `train --data` takes it, or what is there instead. */
export async function inspectData(path: string, described?: FileDescription): Promise<Facts> {
  try {
    const { records, files, images, skipped, problems, unread } = await readRecords(path, {
      skipBad: true,
      images: true,
      chats: true,
    });
    const instructions = records.flatMap((record) => (isChat(record) ? [] : [record]));
    const chats = records.length - instructions.length;
    const lengths = instructions.map(({ output }) => output.length);
    return {
      kind: "dataset",
      path,
      what: whatOf(images.length > 0, chats),
      files: files.length > 1 ? files.map((file) => file.path) : undefined,
      records: records.length,
      chats: chats > 0 ? chats : undefined,
      withInput: chats === records.length ? undefined : instructions.filter(({ input }) => input !== "").length,
      ...(await factsOfImages(images)),
      bad: skipped,
      problems: problems.map(describeProblem),
      fieldsNotRead: unread.map(({ name, records: count }) => `${name} (${count})`),
      meanOutputCharacters: lengths.length > 0 ? lengths.reduce((a, b) => a + b, 0) / lengths.length : undefined,
      first: records[0],
      next: `${ownCommand`train --data ${path}`}${chats > 0 ? " --template chat" : ""} --model BASE --out RUN`,
    };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const problem = error.problems.join("; ");
    if (dataName.test(path)) {
      const flags = / give (--fields .+)$/.exec(problem)?.[1];
      const next = flags && `${ownCommand`train --data ${path}`} ${flags} --model BASE --out RUN`;
      return { kind: "data", path, what: "data that cannot be trained on as it is", problem, next };
    }
    const what = described?.what ?? "a file of no kind that zerogate knows";
    return { kind: described?.kind ?? "unknown", path, what, problem };
  }
}

function whatOf(withImages: boolean, chats: number): string {
  if (chats > 0) return "chats, for --data with --template chat";
  return withImages ? "instruction data with images, for --data" : "instruction data, for --data";
}

/** Facts of a folder with the problems of ScienceQA. */
export async function inspectScience(path: string): Promise<Facts> {
  const splits: string[] = [];
  const all = new Map<string, RecordImages>(); // splits overlap
  for (const split of await listScienceSplits(path)) {
    const { records, images, skipped } = await readRecords(path, { split, images: true, skipBad: true });
    const bad = skipped > 0 ? `, ${skipped} bad` : "";
    splits.push(`#${split}: ${records.length} problems, ${images.length} with an image${bad}`);
    for (const image of images) all.set(image.paths.join(), image);
  }
  const what = "problems of ScienceQA, for --data with a split behind #, else train";
  return { kind: "scienceqa", path, what, splits, ...(await factsOfImages([...all.values()])) };
}

/** How many records have images, and whether they are there. */
async function factsOfImages(images: readonly RecordImages[]) {
  const [first, ...others] = (await findMissingImages(images)).values();
  return {
    withImage: images.length > 0 ? images.length : undefined,
    imageFolders: [...new Set(images.map(({ root }) => root))],
    imagesNotFound: first && 1 + others.length,
    firstNotFound: first && `${first.path}: ${first.reason}`,
  };
}
