/** Fields that the configs of all model types have. */
import { type JsonFields, shown } from "../formats/json_fields.ts";

/** More layers than any model has; a bound for loops over a number from a file. */
export const MAX_LAYERS = 10_000;

/** Adds a problem if the field is set and not one of the supported names. */
export function checkName(fields: JsonFields, name: string, fallback: string, supported: readonly string[]): void {
  const value = fields.raw(name) ?? fallback;
  if (supported.some((known) => known === value)) return;
  const names = supported.map((known) => JSON.stringify(known)).join(", ");
  fields.problem(`${name} is ${shown(value)}, supported is ${names}`);
}

/** One id or a list of ids; null and -1, as old tokenizers have it, mean none. */
export function tokenIds(fields: JsonFields, name: string, fallback: readonly number[]): readonly number[] {
  const value = fields.has(name) ? (fields.raw(name) ?? []) : fallback;
  const ids = (Array.isArray(value) ? (value as unknown[]) : [value]).filter((id) => id !== -1);
  const valid = ids.filter((id): id is number => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (valid.length !== ids.length) {
    fields.problem(`${name} is ${shown(value)}, needed is a token id or a list of them`);
  }
  return valid;
}
