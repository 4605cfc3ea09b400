/** What a data file is, by what it holds and by its name, and its items. Readers of other forms than JSON are loaded when one is met. */
import { isObject } from "../record.ts";
import type { ByteSource } from "./byte_source.ts";
import type { DataItems } from "./data_item.ts";
import { listOf } from "./json/envelope.ts";
import { jsonLines, lookAtLines } from "./json/lines.ts";
import { itemsOf, readJson } from "./json/whole.ts";
import { separatorOf } from "./table/separator.ts";

/** What is asked of a file. */
export interface OpenRules {
  /** Which list of an object is read. */
  readonly list?: string | undefined;
  /** Whether an object is a record by itself, or a form of several, however many lists it holds. */
  isRecord(value: unknown): boolean;
  /** Which columns of a file that has columns of its own are needed. */
  columns(names: readonly string[]): readonly string[];
}

/** Items of a file, and whether they stood in a JSON list. */
export interface OpenedItems {
  readonly items: DataItems;
  readonly isList: boolean;
  /** How much of the file stands in front of the last items, from 0 to 1. */
  share(): number;
  /** All columns, of a file that names them, and those that are not read. */
  readonly names?: readonly string[];
  readonly unread?: readonly string[];
}

/** Finds out what a file is, and begins to read it. @throws Error for what cannot be read. */
export async function openItems(source: ByteSource, rules: OpenRules): Promise<OpenedItems> {
  if (isParquet(source)) {
    if (rules.list !== undefined) throw new Error(noList(rules.list));
    const { openParquet } = await import("./parquet/rows.ts");
    return { ...(await openParquet(source, rules.columns)), isList: false };
  }
  const start = source.head.toString("utf8").trimStart(); // trimStart takes a byte order mark too
  const isList = start.startsWith("[");
  const isJson = isList || start.startsWith("{");
  const separator = isJson ? undefined : separatorOf(source.path, start);
  if (separator !== undefined) {
    const { tableRows } = await import("./table/csv.ts");
    return { items: tableRows(source, separator), isList: false, share: source.share };
  }
  const first = isList ? undefined : await lookAtLines(source);
  if (!first?.areLines) {
    const opened = await openWhole(source, rules);
    if (opened) return opened;
  }
  const list = listInside(source.path, first?.only, rules);
  if (list !== undefined) return { ...itemsOf(source.path, list), isList: true };
  if (rules.list !== undefined) throw new Error(noList(rules.list));
  return { items: jsonLines(source), isList: false, share: source.share };
}

/** Whether a file begins as a parquet file. */
const isParquet = ({ head }: ByteSource): boolean => head.toString("latin1", 0, 4) === "PAR1";

/** Undefined if the file turns out to be one of lines. */
async function openWhole(source: ByteSource, rules: OpenRules): Promise<OpenedItems | undefined> {
  const parsed = await readJson(source);
  if (parsed === undefined) return undefined;
  const { values, isList } = parsed;
  const list = isList || values.length !== 1 ? undefined : listInside(source.path, values[0], rules);
  if (list === undefined && rules.list !== undefined) throw new Error(noList(rules.list));
  return { ...itemsOf(source.path, list ?? values), isList: isList || list !== undefined };
}

function listInside(path: string, value: unknown, { list, isRecord }: OpenRules): readonly unknown[] | undefined {
  if (!isObject(value) || (list === undefined && isRecord(value))) return undefined;
  return listOf(path, value, list);
}

const noList = (name: string): string => `it is no object around lists, the name ${name} behind # says nothing here`;
