/** Fields that the configs of all model types have. */
import type { JsonFields } from "../formats/json_fields.ts";

/** More layers than any model has; a bound for loops over a number from a file. */
export const MAX_LAYERS = 10_000;

/** Adds a problem where the field is set and is none of the supported names. */
export function checkName(fields: JsonFields, name: string, fallback: string, supported: readonly string[]): void {
  const value = fields.raw(name) ?? fallback;
  if (supported.some((known) => known === value)) return;
  const names = supported.map((known) => JSON.stringify(known)).join(", ");
  fields.problem(`${name} is ${JSON.stringify(value).slice(0, 200)}, supported is ${names}`);
}

/** One id, a list of ids, null for none. */
export function tokenIds(fields: JsonFields, name: string, fallback: readonly number[]): readonly number[] {
  const value = fields.has(name) ? (fields.raw(name) ?? []) : fallback;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  const valid = ids.filter((id): id is number => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (valid.length !== ids.length) {
    fields.problem(`${name} is ${JSON.stringify(value).slice(0, 200)}, needed is a token id or a list of them`);
  }
  return valid;
}
