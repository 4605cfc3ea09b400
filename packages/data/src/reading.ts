/** What one pass over data files collects, record by record. */
import { cocoItems, type FormItem, isCocoCaptions } from "./captions.ts";
import { chatFields, type DataRecord, isChat } from "./chat/record.ts";
import { type ConversationRule, conversationItems, isConversation } from "./conversations.ts";
import type { DataFile } from "./data_files.ts";
import { type FieldMap, type FieldRule, valueAt } from "./fields/field_map.ts";
import { fieldNames } from "./fields/field_names.ts";
import { knownNaming, namedColumns } from "./fields/namings.ts";
import { hasOwnFields, type ItemRules, namingOf, readItem } from "./fields/read_item.ts";
import type { DataItem } from "./files/data_item.ts";
import { instructionFields, isObject, unreadFields } from "./record.ts";
import { parseImages, type RecordImages } from "./record_images.ts";
import { addProblem, noProblems, type Place, type ProblemList, type RecordFault } from "./record_problems.ts";

/** A field that some records hold and nobody reads. */
export interface UnreadField {
  readonly name: string;
  /** Records in which it holds something. */
  readonly records: number;
}

/** What one pass over data files collects. */
export interface Reading extends ItemRules {
  /** Whether the field `image` is read; if not, it is one that nobody reads. */
  readonly withImages: boolean;
  readonly conversation: ConversationRule;
  /** Those that nobody has taken yet: `takeRead` empties the list. */
  readonly records: DataRecord[];
  /** Where each of them stands, if chats are read: a template may refuse some. */
  readonly places: Place[];
  /** All records so far. */
  count: number;
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
  /** How its columns are named, once an item says it; undefined if they have our names. */
  naming: FieldMap | undefined;
  /** Whether the records stand in one JSON list. */
  isList: boolean;
}

/** What a chat may be made of if a column is its system prompt: also an instruction. */
const systemFields: readonly string[] = fieldNames.filter((name) => name !== "image");

/** More names of fields than this are not counted one by one. */
const MAX_NAMES = 1000;
const MAX_NAME_CHARACTERS = 100;

/** How a pass over data files reads them. */
export interface ReadingRules {
  readonly images?: boolean;
  readonly chats?: boolean;
  readonly conversation?: ConversationRule | undefined;
  readonly fields?: FieldRule | undefined;
}

export function newReading({
  images = false,
  chats = false,
  conversation = "all",
  fields = "auto",
}: ReadingRules): Reading {
  const collected = {
    records: [],
    places: [],
    count: 0,
    images: [] as RecordImages[],
    files: [],
    problems: noProblems(),
    unread: new Map(),
    broken: [],
  };
  return { withImages: images, withChats: chats, conversation, fields, ...collected };
}

export function newShape(path: string, imageRoot: string): FileShape {
  return { path, imageRoot, items: 0, foreign: 0, first: undefined, keys: new Set(), naming: undefined, isList: false };
}

/** Adds what a file holds at a place: a record, those of a form with images, or a problem. */
export function addItem(item: unknown, place: Place, reading: Reading, shape: FileShape): void {
  if (reading.withImages && isCocoCaptions(item)) {
    for (const [index, one] of cocoItems(item).entries()) addForm(one, { file: place.file, index }, reading, shape);
  } else if (reading.withImages && isConversation(item) && !(reading.withChats && isWithoutImage(item))) {
    for (const one of conversationItems(item, reading.conversation)) addForm(one, place, reading, shape);
  } else addOne(item, place, reading, shape);
}

/** Adds what kept a place of a file from holding a value. */
export function addFault(
  { place, fault }: Extract<DataItem, { readonly fault: RecordFault }>,
  { problems }: Reading,
  shape: FileShape,
): void {
  shape.items++;
  addProblem(problems, place, fault);
}

/** Whether an object is a record, or a form of several, under names that are known here. */
export function isRecordLike(value: unknown, reading: Reading): boolean {
  if (!isObject(value)) return false;
  const { fields } = reading;
  if (typeof fields === "object" && Object.values(fields).some((at) => valueAt(value, at) !== undefined)) return true;
  if (hasOwnFields(value, true) || (fields === "auto" && knownNaming(value) !== undefined)) return true;
  return reading.withImages && (isCocoCaptions(value) || isConversation(value));
}

/** Chooses the columns of a table that may be fields of records, or say what it is. */
export function neededColumns(names: readonly string[], { fields, withImages }: Reading): readonly string[] {
  const own = fieldNames.filter((name) => withImages || name !== "image");
  const isNamed = (name: string) =>
    own.some((field) => field === name) || (fields === "auto" && namedColumns.includes(name.toLowerCase()));
  const mapped = typeof fields === "object" ? Object.values(fields) : [];
  return names.filter((name) => isNamed(name) || mapped.some((path) => path === name || path.startsWith(`${name}.`)));
}

/** Counts columns that were not read for all records of their file. */
export function addUnread(columns: readonly string[], records: number, { unread }: Reading): void {
  for (const column of columns) {
    const name = column.slice(0, MAX_NAME_CHARACTERS);
    if (unread.has(name) || unread.size < MAX_NAMES) unread.set(name, (unread.get(name) ?? 0) + records);
  }
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
  shape.naming ??= namingOf(item, reading);
  const parsed = readItem(item, reading, shape.naming);
  if ("record" in parsed) {
    addRecord(parsed.record, parsed.item, place, reading, shape.imageRoot);
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
  if (paths.length > 0) images.push({ record: reading.count, place, root: imageRoot, paths });
  records.push(record);
  reading.count++;
  if (withChats) places.push(place);
  const withSystem = typeof reading.fields === "object" && reading.fields["system"] !== undefined;
  const read = !isChat(record) ? instructionFields : withSystem ? systemFields : chatFields;
  for (const field of unreadFields(item, read)) {
    if (withImages && field === "image") continue;
    const name = field.slice(0, MAX_NAME_CHARACTERS);
    const count = unread.get(name);
    if (count !== undefined || unread.size < MAX_NAMES) unread.set(name, (count ?? 0) + 1);
  }
}

/** Takes the records that were read since the last call, with their places if chats are read. */
export function takeRead({ records, places }: Reading): {
  readonly records: DataRecord[];
  readonly places: Place[];
} {
  return { records: records.splice(0), places: places.splice(0) };
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
