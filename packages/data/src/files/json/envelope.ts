/** A list of records inside an object: `{"data": [...]}`, or one list of several, named behind `#`. */
import { isObject } from "../../record.ts";
import { quote, withRest } from "../../record_problems.ts";

type Item = Readonly<Record<string, unknown>>;

/** A list of objects, and the names that lead to it. */
export interface FoundList {
  readonly path: readonly string[];
  readonly values: readonly unknown[];
}

/** Objects in objects are looked through this far. */
const MAX_DEPTH = 2;

/** Finds the lists of objects in an object, and in objects inside it; turns of a chat are none. */
export function listsIn(value: Item, path: readonly string[] = []): FoundList[] {
  return Object.entries(value).flatMap(([name, inner]): FoundList[] => {
    const here = [...path, name];
    if (Array.isArray(inner)) return isObject(inner[0]) && !isTurn(inner[0]) ? [{ path: here, values: inner }] : [];
    return isObject(inner) && path.length < MAX_DEPTH ? listsIn(inner, here) : [];
  });
}

const isTurn = (value: Item): boolean =>
  ("role" in value && "content" in value) || ("from" in value && "value" in value);

/**
 * Returns the list of an object that is a whole file: its only one, or the one of a name.
 * @throws Error that says how to name one of several, or which names there are.
 */
export function listOf(path: string, object: Item, name: string | undefined): readonly unknown[] | undefined {
  const lists = listsIn(object);
  const nameOf = ({ path: names }: FoundList) => names.join(".");
  if (name !== undefined) {
    const found = lists.find((list) => nameOf(list) === name);
    if (found) return found.values;
    const has = lists.length === 0 ? "it has none" : `it has ${withRest(lists.map((list) => quote(nameOf(list))))}`;
    throw new Error(`no list of the name ${quote(name)} is in it, ${has}`);
  }
  const [first, ...others] = lists;
  if (first === undefined || others.length === 0) return first?.values;
  const shown = withRest(lists.map((list) => `${quote(nameOf(list))} (${list.values.length})`));
  throw new Error(`it is an object with the lists ${shown}, one is needed: give ${quote(`${path}#${nameOf(first)}`)}`);
}
