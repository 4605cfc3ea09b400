/** What one pass over data files collects, record by record. */
import { cocoItems, type FormItem, isCocoCaptions } from "./captions.ts";
import { chatFields, type DataRecord, isChat, parseChat } from "./chat/record.ts";
import { type ConversationRule, conversationItems, isConversation } from "./conversations.ts";
import type { DataFile } from "./data_files.ts";
import { instructionFields, isObject, parseRecord, unreadFields } from "./record.ts";
import { parseImages, type RecordImages } from "./record_images.ts";
import { addProblem, noProblems, type Place, type ProblemList } from "./record_problems.ts";

/** A field that some records hold and nobody reads. */
export interface UnreadField {
  readonly name: string;
  /** Records in which it holds something. */
  readonly records: number;
}

export interface Reading {
  /** Whether the field `image` is read; if not, it is one that nobody reads. */
  readonly withImages: boolean;
  readonly conversation: ConversationRule;
  /** Whether chats are read. */
  readonly withChats: boolean;
  readonly records: DataRecord[];
  /** Where each record stands, if chats are read: a template may refuse some. */
  readonly places: Place[];
  readonly images: RecordImages[];
  readonly files: DataFile[];
  readonly problems: ProblemList;
  /** Records by the name of a field that they hold and nobody reads. */
  readonly unread: Map<string, number>;
  /** Problems of files that cannot be read: these are never skipped. */
  readonly broken: string[];
}

/** What the records of one file look like, in case that none of them is usable. */
export interface FileShape {
  readonly path: string;
  /** The folder that images of its records must stay in. */
  readonly imageRoot: string;
  items: number;
  /** Objects without the fields of a record. */
  foreign: number;
  first: Readonly<Record<string, unknown>> | undefined;
  readonly keys: Set<string>;
  /** Whether the records stand in one JSON list. */
  isList: boolean;
}

/** More names of fields than this are not counted one by one. */
const MAX_NAMES = 1000;
const MAX_NAME_CHARACTERS = 100;

/** How a pass over data files reads them. */
export interface ReadingRules {
  readonly images?: boolean;
  readonly chats?: boolean;
  readonly conversation?: ConversationRule | undefined;
}

export function newReading({ images = false, chats = false, conversation = "all" }: ReadingRules): Reading {
  const collected = {
    records: [],
    places: [],
    images: [] as RecordImages[],
    files: [],
    problems: noProblems(),
    unread: new Map(),
    broken: [],
  };
  return { withImages: images, withChats: chats, conversation, ...collected };
}

export function newShape(path: string, imageRoot: string): FileShape {
  return { path, imageRoot, items: 0, foreign: 0, first: undefined, keys: new Set(), isList: false };
}

/** Adds what a file holds at a place: a record, those of a form with images, or a problem. */
export function addItem(item: unknown, place: Place, reading: Reading, shape: FileShape): void {
  if (reading.withImages && isCocoCaptions(item)) {
    for (const [index, one] of cocoItems(item).entries()) addForm(one, { file: place.file, index }, reading, shape);
  } else if (reading.withImages && isConversation(item) && !(reading.withChats && isWithoutImage(item))) {
    for (const one of conversationItems(item, reading.conversation)) addForm(one, place, reading, shape);
  } else addOne(item, place, reading, shape);
}

/** Adds a record that a form of data made, or what kept it from one. */
export function addForm(form: FormItem, place: Place, reading: Reading, shape: FileShape): void {
  if ("item" in form) {
    addOne(form.item, place, reading, shape);
    return;
  }
  shape.items++;
  addProblem(reading.problems, place, form.fault);
}

function addOne(item: unknown, place: Place, reading: Reading, shape: FileShape): void {
  shape.items++;
  const parsed = (reading.withChats ? parseChat(item) : undefined) ?? parseRecord(item);
  if ("record" in parsed) {
    addRecord(parsed.record, item as Readonly<Record<string, unknown>>, place, reading, shape.imageRoot);
    return;
  }
  addProblem(reading.problems, place, parsed.fault);
  if (!isObject(item) || !lacksFields(item)) return;
  shape.foreign++;
  shape.first ??= item;
  for (const key of Object.keys(item)) if (shape.keys.size < MAX_NAMES) shape.keys.add(key);
}

/** Adds a record; `item` is what it was made of: its image, and the fields that nobody reads. */
export function addRecord(
  record: DataRecord,
  item: Readonly<Record<string, unknown>>,
  place: Place,
  reading: Reading,
  imageRoot: string,
): void {
  const { withImages, withChats, records, places, images, problems, unread } = reading;
  const parsed = withImages ? parseImages(item["image"]) : { paths: [] };
  if ("fault" in parsed) {
    addProblem(problems, place, parsed.fault);
    return;
  }
  const { paths } = parsed;
  if (paths.length > 0) images.push({ record: records.length, place, root: imageRoot, paths });
  records.push(record);
  if (withChats) places.push(place);
  for (const field of unreadFields(item, isChat(record) ? chatFields : instructionFields)) {
    if (withImages && field === "image") continue;
    const name = field.slice(0, MAX_NAME_CHARACTERS);
    const count = unread.get(name);
    if (count !== undefined || unread.size < MAX_NAMES) unread.set(name, (count ?? 0) + 1);
  }
}

/** A conversation without an image is a chat. */
const isWithoutImage = ({ image }: Readonly<Record<string, unknown>>): boolean =>
  image === undefined || image === null || image === "";

/** The most frequent first. */
export function unreadOf({ unread }: Reading): UnreadField[] {
  const fields = [...unread].map(([name, records]) => ({ name, records }));
  return fields.toSorted((a, b) => b.records - a.records || (a.name < b.name ? -1 : 1));
}

/** A field with another value than a text is a bad record, unless it holds a column of a table. */
function lacksFields({ instruction, output }: Readonly<Record<string, unknown>>): boolean {
  return instruction === undefined || output === undefined || (isColumn(instruction) && isColumn(output));
}

const isColumn = (value: unknown): boolean => Array.isArray(value) || isObject(value);
