/** What `inspect` finds of a path, and its text: one row a fact, whatever strangers wrote into it. */
import { formatCount } from "@zerogate/trainer/command";
import { plainCell } from "../../terminal/plain_text.ts";

/** Facts are shown in their order; what is undefined, null or an empty list is left out. */
export type Facts = { readonly kind: string; readonly path: string; readonly problem?: string | undefined } & Readonly<
  Record<string, unknown>
>;

export type Row = readonly [name: string, text: string];

const NAME_COLUMNS = 24;
/** Longer lists get a line for each entry. */
const ROW_CHARACTERS = 100;

export function describeFacts(facts: Facts): string {
  return describeRows(Object.entries(facts).flatMap(([name, value]) => rowsOf(name, value)));
}

export function describeRows(rows: readonly Row[]): string {
  return `${rows.map(([name, text]) => `${name.padEnd(NAME_COLUMNS)}${plainCell(text)}`.trimEnd()).join("\n")}\n`;
}

/** A value as rows: the first has its name. */
function rowsOf(name: string, value: unknown): Row[] {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return [];
  if (name === "tensors" && Array.isArray(value)) return tensorRows(value as readonly ListedTensor[]);
  if (name === "pid" && typeof value === "number") return [[name, String(value)]]; // a name, not an amount
  if (!Array.isArray(value)) return [[name, textOf(value)]];
  const texts = value.map(textOf);
  const line = texts.join(", ");
  const fits = line.length <= ROW_CHARACTERS && value.every((item) => typeof item !== "object");
  return fits ? [[name, line]] : texts.map((text, i): Row => [i === 0 ? name : "", text]);
}

interface ListedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

const tensorRows = (tensors: readonly ListedTensor[]): Row[] =>
  tensors.map(({ name, dtype, shape }) => [`  ${plainCell(name)}`, `  ${dtype} [${shape.join(", ")}]`]);

function textOf(value: unknown): string {
  if (typeof value === "number")
    return Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(6)));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return `[${value.map(textOf).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const known = Object.entries(value).filter(([, inner]) => inner !== undefined && inner !== null);
  return known.map(([name, inner]) => `${name} ${textOf(inner)}`).join(", ");
}
