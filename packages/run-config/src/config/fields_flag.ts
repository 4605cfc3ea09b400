/** `--fields` of commands that have no config: which columns are the fields of a record. */
import { InputError } from "@zerogate/core";
import type { FieldRule } from "@zerogate/data";
import { fields } from "./fields.ts";
import { mapped, show } from "./sources.ts";

/** @throws InputError for what is no such rule, beginning with `attempt`. */
export function fieldsFlag(texts: readonly string[] | undefined, attempt: string): FieldRule | undefined {
  if (texts === undefined) return undefined;
  const { type, expects } = fields.fields;
  const parsed = type.safeParse(mapped(texts));
  if (parsed.success) return parsed.data;
  throw new InputError(attempt, `--fields is ${show(texts)}, expected ${expects}`);
}
