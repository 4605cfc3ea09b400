/** An item of a data file as a record: by our names, by those that its file uses, or by the map that the user gave. */
import { type DataRecord, isChat, messagesOf, parseChat } from "../chat/record.ts";
import { nonFinite, parseJson } from "../json_values.ts";
import { isObject, parseRecord } from "../record.ts";
import type { RecordFault } from "../record_problems.ts";
import { type FieldMap, type FieldRule, renamed, valueAt } from "./field_map.ts";
import { knownNaming } from "./namings.ts";

type Item = Readonly<Record<string, unknown>>;

/** How items are read. */
export interface ItemRules {
  readonly fields: FieldRule;
  readonly withChats: boolean;
}

/** A record, and its item under our names, which may hold more than the record. */
export type ReadItem = { readonly record: DataRecord; readonly item: Item } | { readonly fault: RecordFault };

/** Returns the naming of a file by one of its items, which has no fields of ours; undefined if it says nothing. */
export function namingOf(value: unknown, { fields, withChats }: ItemRules): FieldMap | undefined {
  if (typeof fields === "object") return fields;
  return fields === "own" || !isObject(value) || hasOwnFields(value, withChats) ? undefined : knownNaming(value);
}

/** Reads an item; faults name the columns of the file. */
export function readItem(value: unknown, rules: ItemRules, naming: FieldMap | undefined): ReadItem {
  const { fields, withChats } = rules;
  if (!isObject(value)) return parseRecord(value) as { readonly fault: RecordFault };
  // Another file beside it may have our names: a map is for the records that have one of its columns.
  const isFor = (map: FieldMap) => Object.values(map).some((path) => valueAt(value, path) !== undefined);
  const isOwn = hasOwnFields(value, withChats) && !(typeof fields === "object" && isFor(fields));
  const isMapped = naming !== undefined && !isOwn;
  const item = isMapped ? renamed(value, naming) : value;
  const parsed = (withChats ? parseChat(unpacked(item)) : undefined) ?? parseRecord(item);
  // Only a map says that a column is a system prompt: by itself the name is one of fields that nobody reads.
  const system = isMapped && naming["system"] !== undefined ? systemOf(item["system"]) : "";
  if (typeof system !== "string") return { fault: { ...system, field: naming?.["system"] ?? "system" } };
  if ("record" in parsed) return { record: system === "" ? parsed.record : withSystem(parsed.record, system), item };
  const { field } = parsed.fault;
  const column = isMapped && field !== undefined ? naming[field] : undefined;
  return { fault: column === undefined ? parsed.fault : { ...parsed.fault, field: column } };
}

/** The text of a system prompt, empty if there is none. */
function systemOf(value: unknown): string | Omit<RecordFault, "field"> {
  if (value === undefined || value === null || nonFinite(value) !== undefined) return "";
  if (typeof value === "string") return value.trim() === "" ? "" : value;
  return { found: `a value of type ${typeof value}`, expected: "a text or nothing" };
}

/** A record as a chat that begins with a system prompt. */
function withSystem(record: DataRecord, content: string): DataRecord {
  return { ...(isChat(record) && record), messages: [{ role: "system", content }, ...messagesOf(record)] };
}

/** Whether an item has what makes a record, under our names. */
export function hasOwnFields({ instruction, output, ...item }: Item, withChats: boolean): boolean {
  if (instruction !== undefined && output !== undefined) return true;
  const { messages, conversations, prompt, completion } = item;
  return (
    withChats &&
    (messages !== undefined || conversations !== undefined || (prompt !== undefined && completion !== undefined))
  );
}

/** Takes turns out of the text of their JSON, in which tables keep them. */
function unpacked(item: Item): Item {
  const packed = ["messages", "conversations"].filter((name) => isListText(item[name]));
  if (packed.length === 0) return item;
  return { ...item, ...Object.fromEntries(packed.map((name) => [name, listIn(item[name] as string)])) };
}

const isListText = (value: unknown): boolean => typeof value === "string" && /^\s*\[/.test(value);

function listIn(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}
