/** Names that others give to the fields of a record: taken if only one thing can be meant, else proposed. */
import type { FieldMap } from "./field_map.ts";

type Item = Readonly<Record<string, unknown>>;

/** What is asked, what is given with it and what is answered, in lower case. */
const known = {
  instruction: ["instruction", "prompt", "question", "query", "problem"],
  input: ["input", "context"],
  output: ["output", "completion", "response", "answer", "solution"],
} as const;

/** Places of a column that are looked at for a text. */
const MAX_PLACES = 20;

/** Names that may mean it. */
const possible = {
  instruction: [...known.instruction, "input_text", "user", "human"],
  input: known.input,
  output: [...known.output, "chosen", "target", "label", "assistant", "answers"],
} as const;

/** Beside these the known names mean something else: turns of a chat, preferences, choices. */
const otherForms = ["messages", "conversations", "chosen", "rejected", "choices", "options"];

/** Columns that are worth being read to find out what a record is. */
export const namedColumns: readonly string[] = [...Object.values(possible).flat(), ...otherForms];

/** Returns the columns that are the fields of a record by their names; undefined if none are, or several may be. */
export function knownNaming(item: Item): FieldMap | undefined {
  const keys = Object.keys(item);
  const named = (names: readonly string[]) => keys.filter((key) => names.includes(key.toLowerCase()));
  const [asked, given, answered] = [named(known.instruction), named(known.input), named(known.output)];
  if (named(otherForms).length > 0 || asked.length > 1 || given.length > 1) return undefined;
  return fieldsOf({ instruction: asked[0], input: given[0], output: answered.length === 1 ? answered[0] : undefined });
}

/** Proposes columns that may be the fields of a record, the first of each list; undefined if there are none for an answer or a question. */
export function possibleNaming(first: Item, keys: readonly string[]): FieldMap | undefined {
  const find = (names: readonly string[]) =>
    names.map((name) => keys.find((key) => key.toLowerCase() === name)).find((key) => key !== undefined);
  const found = fieldsOf({
    instruction: find(possible.instruction),
    input: find(possible.input),
    output: find(possible.output),
  });
  return found && Object.fromEntries(Object.entries(found).map(([field, key]) => [field, textIn(key, first[key])]));
}

/** Of an input without an instruction the input is what is asked. */
function fieldsOf({ instruction, input, output }: Record<"instruction" | "input" | "output", string | undefined>) {
  const asked = instruction ?? (input?.toLowerCase() === "input" ? input : undefined);
  if (asked === undefined || output === undefined) return undefined;
  return { instruction: asked, ...(input !== undefined && input !== asked && { input }), output };
}

/** The path of the first text inside a column, two places deep: `answers.text.0`; the column itself if it has none. */
const textIn = (path: string, value: unknown): string => findText(path, value, 2) ?? path;

function findText(path: string, value: unknown, depth: number): string | undefined {
  if (typeof value === "string") return path;
  if (typeof value !== "object" || value === null || depth === 0) return undefined;
  for (const [name, inner] of Object.entries(value).slice(0, MAX_PLACES)) {
    const found = findText(`${path}.${name}`, inner, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}
