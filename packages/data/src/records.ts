/**
 * Readers of instruction data: records `{instruction, input?, output}`, or with other names, from files of any form that
 * `files/` reads. Every problem is named by file, place and field; a file in another form is named in one line.
 */

import { stat } from "node:fs/promises";
import { InputError } from "@zerogate/core";
import { DESCRIBED_BYTES, describeFile } from "@zerogate/core/formats";
import { reason } from "@zerogate/core/node";
import { tableItem } from "./captions.ts";
import type { DataRecord } from "./chat/record.ts";
import type { ConversationRule } from "./conversations.ts";
import { type DataFile, hashDataFile } from "./data_files.ts";
import {
  type DataSource,
  type FileSource,
  filesOf,
  imageRootOf,
  listSources,
  type ScienceSourceOptions,
} from "./data_sources.ts";
import type { FieldRule } from "./fields/field_map.ts";
import { type ByteSource, openByteSource } from "./files/byte_source.ts";
import { readText } from "./files/json/whole.ts";
import { openItems } from "./files/open_items.ts";
import { describeForeignRecords, describeMissingColumns } from "./foreign_records.ts";
import { describeForeignBytes } from "./foreign_text.ts";
import {
  addFault,
  addForm,
  addItem,
  addUnread,
  type FileShape,
  isRecordLike,
  neededColumns,
  newReading,
  newShape,
  type Reading,
  takeRead,
  type UnreadField,
  unreadOf,
} from "./reading.ts";
import type { InstructionRecord } from "./record.ts";
import type { RecordImages } from "./record_images.ts";
import { badRecords, type Place, type RecordProblem } from "./record_problems.ts";
import { addScienceRecords } from "./scienceqa/records.ts";
import type { ScienceFormat } from "./scienceqa/text.ts";

/** What was found out about the records of some files. */
export interface ReadFacts {
  readonly files: readonly DataFile[];
  /** Bad records left out; 0 unless `skipBad`. */
  readonly skipped: number;
  /** What was wrong with them, at most 20 problems. */
  readonly problems: readonly RecordProblem[];
  /** Fields other than instruction, input and output that hold something, the most frequent first. */
  readonly unread: readonly UnreadField[];
  /** Those of records that have some, in their order; nobody has looked for the files. Empty unless `images`. */
  readonly images: readonly RecordImages[];
}

/** Records in the order of their files. */
export interface Dataset<Item extends DataRecord = InstructionRecord> extends ReadFacts {
  readonly records: readonly Item[];
  /** Where each record stands. Empty unless `chats`. */
  readonly places: readonly Place[];
}

/**
 * Takes the next records, in order, some at a time; nothing is read before it resolves.
 *
 * @param places where each stands; empty unless chats are read.
 * @param share how much of all the files is read, from 0 to 1.
 */
export type TakeRecords = (records: readonly DataRecord[], places: readonly Place[], share: number) => Promise<void>;

/** How records are read. */
export interface ReadOptions extends ScienceSourceOptions {
  /** Leave bad records out and count them, instead of refusing the data. @default false */
  readonly skipBad?: boolean;
  /**
   * Read the field `image`, a path or a list of them, and forms of data with images: COCO's captions, tables of captions,
   * LLaVA's conversations. If not, it is a field that nobody reads. @default false
   */
  readonly images?: boolean;
  /** Read chats too: messages, conversations, a prompt with its completion. @default false */
  readonly chats?: boolean;
  /** Which columns are the fields of a record. @default "auto" */
  readonly fields?: FieldRule | undefined;
  /** The folder that images must stay in, from which their paths go. @default the folder of the data file */
  readonly imageRoot?: string | undefined;
  /** Which answers of a conversation are records. @default "all" */
  readonly conversation?: ConversationRule | undefined;
  /** How problems of ScienceQA are written. @default "QCM-A" */
  readonly scienceFormat?: ScienceFormat | undefined;
}

/**
 * Reads all records of the given files, in order; a folder stands for its *.json and *.jsonl files in the order of their names.
 * @throws InputError if a file cannot be read or is in another form, if a record is bad (the first 20 problems are listed)
 *   unless `skipBad`, or if there is none.
 */
export async function readRecords(
  paths: string | readonly string[],
  options?: ReadOptions & { readonly chats?: false },
): Promise<Dataset>;
export async function readRecords(
  paths: string | readonly string[],
  options: ReadOptions,
): Promise<Dataset<DataRecord>>;
export async function readRecords(
  paths: string | readonly string[],
  options: ReadOptions = {},
): Promise<Dataset<DataRecord>> {
  const [records, places]: [DataRecord[], Place[]] = [[], []];
  const facts = await streamRecords(paths, options, async (some, at) => {
    for (const record of some) records.push(record);
    for (const place of at) places.push(place);
  });
  return { records, places, ...facts };
}

/**
 * Reads records as `readRecords` does and hands them on as they come, so that no more than a batch of them is in memory. Records of
 * data that is going to be refused are not handed on; what is wrong with it is said at its end, when all of it is known.
 *
 * @throws as `readRecords` does, and what `take` throws.
 */
export async function streamRecords(
  paths: string | readonly string[],
  options: ReadOptions,
  take: TakeRecords,
): Promise<ReadFacts> {
  const { skipBad = false, imageRoot, scienceFormat = "QCM-A" } = options;
  checkSystem(options);
  const reading = newReading(options);
  const sources = await listSources(paths, options);
  const sizes = await Promise.all(sources.map(sizeOf));
  const all = sum(sizes);
  let thrown: { readonly error: unknown } | undefined;
  for (const [number, source] of sources.entries()) {
    const root = await imageRootOf(source, imageRoot);
    const [before, own] = [sum(sizes.slice(0, number)), sizes[number] ?? 0];
    const handOn = async (share: number) => {
      const { records, places } = takeRead(reading);
      const isRefused = reading.broken.length > 0 || (reading.problems.bad > 0 && !skipBad);
      if (isRefused || records.length === 0) return;
      try {
        await take(records, places, (before + share * own) / all);
      } catch (error) {
        thrown = { error };
        throw error;
      }
    };
    if (source.kind === "scienceqa") {
      await addScienceRecords(source, scienceFormat, reading, root);
      for (const file of filesOf(source)) reading.files.push(await hashDataFile(file));
      await handOn(1);
      continue;
    }
    try {
      await readDataFile(source, reading, root, handOn);
    } catch (error) {
      if (thrown) throw thrown.error;
      const problem = error instanceof InputError ? error.problems.join() : reason(error);
      reading.broken.push(`${source.path}: ${problem}`);
    }
  }
  return factsOf(reading, skipBad);
}

/** A system prompt is a turn of a chat: a template of instructions has no place for it. */
function checkSystem({ fields, chats = false }: ReadOptions): void {
  if (chats || typeof fields !== "object" || fields["system"] === undefined) return;
  const problem = `--fields says that ${fields["system"]} is a system prompt, which the template has no place for`;
  throw new InputError("Cannot read the data", `${problem}: use a template of chats (--template chat)`);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** Bytes of the files of a source. */
async function sizeOf(source: DataSource): Promise<number> {
  return sum((await Promise.all(filesOf(source).map((file) => stat(file)))).map(({ size }) => size));
}

/** @throws InputError for data that cannot be used. */
function factsOf(reading: Reading, skipBad: boolean): ReadFacts {
  const { count, images, files, problems, broken } = reading;
  const { bad } = problems;
  if (broken.length > 0) throw new InputError("Cannot read the data", broken);
  if (bad > 0 && !skipBad) throw badRecords(problems, bad + count);
  if (count === 0) {
    const names = files.map(({ path }) => path).join(", ");
    throw new InputError(
      "Cannot use the data",
      `${names}: no usable record, at least 1 is needed (${bad} bad ones were skipped)`,
    );
  }
  return {
    files,
    skipped: bad,
    problems: [...problems.byKind.values()],
    unread: unreadOf(reading),
    images,
  };
}

/**
 * @param handOn is called with how much of the file was read, from 0 to 1.
 * @throws Error that says what the file is if none of its records is usable because they are of another form.
 */
async function readDataFile(
  { path, list }: FileSource,
  reading: Reading,
  imageRoot: string,
  handOn: (share: number) => Promise<void>,
): Promise<void> {
  const source = await openByteSource(path);
  const shape = newShape(path, imageRoot);
  const start = source.head.toString("utf8").trimStart();
  if (reading.withImages && /^url\tcaption\r?(?:\n|$)/.test(start)) {
    await readCaptionTable(source, reading, shape);
    await handOn(1);
    return;
  }
  const { head, bytes = Number.MAX_SAFE_INTEGER } = source;
  const described = describeFile(head.subarray(0, DESCRIBED_BYTES), bytes);
  const isAnswer = described?.kind === "server-message" && /^[{[]/.test(start); // or a record that begins like one
  if (described && !isAnswer && !["text", "empty", "parquet"].includes(described.kind)) {
    throw new Error(describeForeignBytes(path, described, head));
  }
  const before = reading.count;
  const opened = await openItems(source, {
    list,
    isRecord: (value) => isRecordLike(value, reading),
    columns: (names) => neededColumns(names, reading),
  });
  shape.isList = opened.isList;
  for (const name of opened.names ?? []) shape.keys.add(name);
  for await (const items of opened.items) {
    for (const item of items) {
      if ("value" in item) addItem(item.value, item.place, reading, shape);
      else addFault(item, reading, shape);
    }
    await handOn(opened.share());
  }
  reading.files.push(await source.identify());
  addUnread(opened.unread ?? [], reading.count - before, reading);
  const { items, foreign, first, keys, isList } = shape;
  if (reading.count > before || first === undefined || foreign < items) return;
  if (described && isAnswer) throw new Error(described.problem);
  if (typeof reading.fields === "object")
    throw new Error(describeMissingColumns({ first, keys: [...keys] }, reading.fields));
  throw new Error(describeForeignRecords({ path, count: items, isList, first, keys: [...keys] }));
}

/** Reads a table of files and captions: a header, then a path, a tab and a caption a line. */
async function readCaptionTable(source: ByteSource, reading: Reading, shape: FileShape): Promise<void> {
  const text = await readText(source);
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (i > 0 && line.trim() !== "") addForm(tableItem(line), { file: source.path, line: i + 1 }, reading, shape);
  }
  reading.files.push(await source.identify());
}
