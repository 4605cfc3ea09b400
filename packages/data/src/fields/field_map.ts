/** Which columns of a file are the fields of a record: by our names, by other known ones, or as the user says. */
import { isObject } from "../record.ts";

/** Columns by the field that they are; `answers.text.0` is a place inside a column. */
export type FieldMap = Readonly<Record<string, string>>;

/**
 * How columns are found: `auto`, by our names and by other well-known ones; `own`, by ours alone, as 0.1.0 did; or a map of
 * columns by the fields that they are.
 */
export type FieldRule = "auto" | "own" | FieldMap;

type Item = Readonly<Record<string, unknown>>;

/** Returns an item under our names: the columns of the map renamed, all others as they are. */
export function renamed(item: Item, map: FieldMap): Item {
  const used = columnsOf(item, map);
  const others = Object.entries(item).filter(([name]) => !used.includes(name) && map[name] === undefined);
  return Object.fromEntries([...others, ...Object.entries(map).map(([field, path]) => [field, valueAt(item, path)])]);
}

/** The columns of an item that a map reads: of a path its first part, if no column has the whole of it as its name. */
function columnsOf(item: Item, map: FieldMap): string[] {
  return Object.values(map).map((path) => (Object.hasOwn(item, path) ? path : (path.split(".")[0] ?? path)));
}

/** What stands at a path, such as `answers.text.0`; undefined if there is no such place. */
export function valueAt(item: Item, path: string): unknown {
  if (Object.hasOwn(item, path)) return item[path];
  let value: unknown = item;
  for (const part of path.split(".")) {
    if (Array.isArray(value) && /^\d{1,9}$/.test(part)) value = value[Number(part)];
    else if (isObject(value) && Object.hasOwn(value, part)) value = value[part];
    else return undefined;
  }
  return value;
}
