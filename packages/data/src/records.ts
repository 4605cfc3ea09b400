/**
 * Readers of instruction data: a JSON list of `{instruction, input?, output}`, or such objects one after another, one a line
 * (JSONL) or spread over lines. What the file holds decides which it is, not its name. Every problem is named by file, place
 * and field; a file in another form is named in one line.
 */

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { InputError } from "@zerogate/core";
import { checkNesting, DESCRIBED_BYTES, describeFile } from "@zerogate/core/formats";
import { openRegularFile, readRegularFile, reason } from "@zerogate/core/node";
import { tableItem } from "./captions.ts";
import type { DataRecord } from "./chat/record.ts";
import type { ConversationRule } from "./conversations.ts";
import { iconv } from "./conversions.ts";
import { type DataFile, hashDataFile } from "./data_files.ts";
import { filesOf, imageRootOf, listSources, type ScienceSourceOptions } from "./data_sources.ts";
import { describeForeignRecords } from "./foreign_records.ts";
import { describeForeignBytes, describeForeignText } from "./foreign_text.ts";
import { isOneValue, parseJson, parseValues } from "./json_values.ts";
import { firstNotUtf8 } from "./not_utf8.ts";
import {
  addForm,
  addItem,
  type FileShape,
  newReading,
  newShape,
  type Reading,
  type UnreadField,
  unreadOf,
} from "./reading.ts";

import type { InstructionRecord } from "./record.ts";
import type { RecordImages } from "./record_images.ts";
import { addProblem, badRecords, type Place, quote, type RecordProblem } from "./record_problems.ts";
import { addScienceRecords } from "./scienceqa/records.ts";
import type { ScienceFormat } from "./scienceqa/text.ts";

/** Records in the order of their files. */
export interface Dataset<Item extends DataRecord = InstructionRecord> {
  readonly records: readonly Item[];
  readonly files: readonly DataFile[];
  /** Bad records left out; 0 unless `skipBad`. */
  readonly skipped: number;
  /** What was wrong with them, at most 20 problems. */
  readonly problems: readonly RecordProblem[];
  /** Fields other than instruction, input and output that hold something, the most frequent first. */
  readonly unread: readonly UnreadField[];
  /** Those of records that have some, in their order; nobody has looked for the files. Empty unless `images`. */
  readonly images: readonly RecordImages[];
  /** Where each record stands. Empty unless `chats`. */
  readonly places: readonly Place[];
}

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
  /** The folder that images must stay in, from which their paths go. @default the folder of the data file */
  readonly imageRoot?: string | undefined;
  /** Which answers of a conversation are records. @default "all" */
  readonly conversation?: ConversationRule | undefined;
  /** How problems of ScienceQA are written. @default "QCM-A" */
  readonly scienceFormat?: ScienceFormat | undefined;
}

/** JSON.parse needs the whole text as one string; V8's longest has 2²⁹ − 24 characters. JSONL has no such limit. */
const MAX_JSON_BYTES = 400_000_000;
/** A longer line is not an instruction record, and a file without line breaks must not fill the memory. */
const MAX_LINE_BYTES = 16_000_000;
/** After this many lines without one that begins like JSON a text is taken for something else. */
const MAX_FOREIGN_LINES = 1000;
const [brace, bracket] = ["{", "["];

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
  const { skipBad = false, imageRoot, scienceFormat = "QCM-A" } = options;
  const reading = newReading(options);
  for (const source of await listSources(paths, options)) {
    const root = await imageRootOf(source, imageRoot);
    if (source.kind === "scienceqa") {
      await addScienceRecords(source, scienceFormat, reading, root);
      for (const file of filesOf(source)) reading.files.push(await hashDataFile(file));
      continue;
    }
    try {
      await readDataFile(source.path, reading, root);
    } catch (error) {
      const problem = error instanceof InputError ? error.problems.join() : reason(error);
      reading.broken.push(`${source.path}: ${problem}`);
    }
  }
  const { records, places, images, files, problems, broken } = reading;
  const { bad } = problems;
  if (broken.length > 0) throw new InputError("Cannot read the data", broken);
  if (bad > 0 && !skipBad) throw badRecords(problems, bad + records.length);
  if (records.length === 0) {
    const names = files.map(({ path }) => path).join(", ");
    throw new InputError(
      "Cannot use the data",
      `${names}: no usable record, at least 1 is needed (${bad} bad ones were skipped)`,
    );
  }
  return {
    records,
    files,
    skipped: bad,
    problems: [...problems.byKind.values()],
    unread: unreadOf(reading),
    images,
    places,
  };
}

/** @throws Error that says what the file is if none of its records is usable because they are of another form. */
async function readDataFile(path: string, reading: Reading, imageRoot: string): Promise<void> {
  const head = await readHead(path);
  const start = head.toString("utf8").trimStart(); // trimStart takes a byte order mark too
  const described = describeFile(head.subarray(0, DESCRIBED_BYTES), (await stat(path)).size);
  if (reading.withImages && /^url\tcaption\r?(?:\n|$)/.test(start)) {
    await readCaptionTable(path, imageRoot, reading);
    return;
  }
  const isJson = start.startsWith(brace) || start.startsWith(bracket);
  const isAnswer = described?.kind === "server-message" && isJson; // or a record that begins like one
  if (described && !isAnswer && described.kind !== "text" && described.kind !== "empty") {
    throw new Error(describeForeignBytes(path, described, head));
  }
  const shape = newShape(path, imageRoot);
  const before = reading.records.length;
  if (start.startsWith(bracket) || !(await readLines(shape, reading))) await readWhole(shape, reading);
  const { items, foreign, first, keys, isList } = shape;
  if (reading.records.length > before || first === undefined || foreign < items) return;
  if (described && isAnswer) throw new Error(described.problem);
  throw new Error(describeForeignRecords({ path, count: items, isList, first, keys: [...keys] }));
}

/** Reads a table of files and captions: a header, then a path, a tab and a caption a line. */
async function readCaptionTable(path: string, imageRoot: string, reading: Reading): Promise<void> {
  const { bytes, text } = await readText(path);
  const shape = newShape(path, imageRoot);
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (i > 0 && line.trim() !== "") addForm(tableItem(line), { file: path, line: i + 1 }, reading, shape);
  }
  reading.files.push({ path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
}

async function readHead(path: string): Promise<Buffer> {
  const handle = await openRegularFile(path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Reads a list, or values one after another, that only a parser can take apart; lines if it turns out that there are some. */
async function readWhole(shape: FileShape, reading: Reading): Promise<void> {
  const { path } = shape;
  const { bytes, text } = await readText(path);
  checkNesting(text);
  const parsed = parseValues(text);
  if (parsed === undefined) {
    await readLines(shape, reading, true);
    return;
  }
  reading.files.push({ path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  shape.isList = parsed.isList;
  for (const [index, item] of parsed.values.entries()) addItem(item, { file: path, index }, reading, shape);
}

/** @throws Error if the file is too long for one text, or not UTF-8. */
async function readText(path: string): Promise<{ readonly bytes: Buffer; readonly text: string }> {
  const { size } = await stat(path);
  if (size > MAX_JSON_BYTES) throw new Error(`JSON of ${size} bytes, at most ${MAX_JSON_BYTES} are allowed: use JSONL`);
  const bytes = await readRegularFile(path);
  const fault = firstNotUtf8(bytes);
  if (fault) {
    const found = `line ${fault.line} holds the byte ${fault.byte}, which is not UTF-8`;
    throw new Error(`${found}: save the file as UTF-8, or if it is Latin-1: ${iconv(path, "WINDOWS-1252")}`);
  }
  return { bytes, text: new TextDecoder().decode(bytes) };
}

/** Returns false, having added nothing, if the first line is no whole value: then the file is not one of lines. */
async function readLines(shape: FileShape, reading: Reading, areLines = false): Promise<boolean> {
  const { path } = shape;
  const hash = createHash("sha256");
  const firstLines: string[] = [];
  let bytes = 0;
  let line = 0;
  let isLikeJson = false;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const endLine = (): boolean => {
    line++;
    const lineBytes = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    const text = new TextDecoder().decode(lineBytes).trim();
    if (text === "") return true;
    const isObject = text.startsWith(brace);
    if (!areLines && firstLines.length === 0 && isObject && isUtf8(lineBytes) && !isOneValue(text)) return false;
    if (firstLines.length < 2) firstLines.push(text);
    if (addLine(lineBytes, text, { file: path, line }, reading, shape) || isObject) isLikeJson = true;
    if (!isLikeJson && shape.items >= MAX_FOREIGN_LINES) throw new Error(describeForeignText(path, firstLines));
    return true;
  };
  const file = await openRegularFile(path);
  for await (const piece of file.createReadStream() as AsyncIterable<Buffer>) {
    hash.update(piece);
    bytes += piece.length;
    let begin = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, begin)) {
      held.push(piece.subarray(begin, end));
      if (!endLine()) return false;
      begin = end + 1;
    }
    held.push(piece.subarray(begin));
    heldBytes += piece.length - begin;
    if (heldBytes <= MAX_LINE_BYTES) continue;
    const start = held[0]?.toString("utf8", 0, 100).trimStart();
    if (!areLines && firstLines.length === 0 && start?.startsWith(brace)) return false;
    throw new Error(`line ${line + 1} is longer than ${MAX_LINE_BYTES} bytes, one record a line is needed`);
  }
  if (!endLine()) return false;
  if (!isLikeJson && firstLines.length > 0) throw new Error(describeForeignText(path, firstLines));
  reading.files.push({ path, bytes, sha256: hash.digest("hex") });
  return true;
}

/** Returns whether the line is JSON. */
function addLine(
  bytes: Buffer,
  text: string,
  place: { readonly file: string; readonly line: number },
  reading: Reading,
  shape: FileShape,
): boolean {
  const notUtf8 = firstNotUtf8(bytes);
  if (notUtf8) {
    shape.items++;
    const expected = `UTF-8 (if the file is Latin-1: ${iconv(place.file, "WINDOWS-1252")})`;
    addProblem(reading.problems, place, { kind: "not UTF-8", found: `the byte ${notUtf8.byte}`, expected });
    return false;
  }
  let item: unknown;
  try {
    item = parseJson(text);
  } catch {
    shape.items++;
    const found = `${quote(text)}, which is not JSON`;
    addProblem(reading.problems, place, { kind: "not JSON", found, expected: "one object a line" });
    return false;
  }
  addItem(item, place, reading, shape);
  return true;
}
