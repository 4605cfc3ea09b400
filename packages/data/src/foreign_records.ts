/**
 * Records in other forms than `{instruction, input?, output}`: says what they are, with their keys, and the command
 * that makes records of them if there is one.
 */

import { shellQuoted } from "@zerogate/core/light";
import { chatFields } from "./chat/record.ts";
import { jq, jqPath, otherForm, python } from "./conversions.ts";
import { type FieldMap, valueAt } from "./fields/field_map.ts";
import { possibleNaming } from "./fields/namings.ts";
import { isObject } from "./record.ts";
import { listed, quote } from "./record_problems.ts";

/** What the records of a file look like if none is usable. */
export interface ForeignRecords {
  readonly path: string;
  readonly count: number;
  /** Whether they stand in one JSON list. */
  readonly isList: boolean;
  readonly first: Readonly<Record<string, unknown>>;
  /** All names of their fields. */
  readonly keys: readonly string[];
}

/** What some data is, and the command that makes records of it. */
interface Form {
  readonly what: string;
  /** The flag that reads it as it is. */
  readonly flag?: string;
  /** What jq makes of one record. */
  readonly fields?: string;
  readonly command?: string;
  /** What the command makes if that is not all of it. */
  readonly made?: string;
}

/** Says which columns of a map the first record of a file lacks, and which it has. */
export function describeMissingColumns({ first, keys }: Pick<ForeignRecords, "first" | "keys">, map: FieldMap): string {
  const missing = Object.values(map).filter((path) => valueAt(first, path) === undefined);
  return `--fields names ${listed(missing)}, which its first record has not, its keys are ${listed(keys)}`;
}

/** Says what records are that have no instruction or no output. */
export function describeForeignRecords({ path, count, isList, first, keys }: ForeignRecords): string {
  const { what, fields, command, made, flag }: Form =
    conversations(first) ?? (count === 1 ? wholeFile(path, first) : undefined) ?? otherFields(first, count, keys);
  if (flag !== undefined) return `${what}, instruction and output are needed: if they are what is meant, give ${flag}`;
  const program = fields === undefined ? undefined : `${isList ? ".[] | " : ""}${fields}`;
  return otherForm(what, program === undefined ? command : jq(path, program), made);
}

/** As OpenAI and ShareGPT write them. */
const turnStyles = [
  { who: "role", said: "content", user: "user", model: "assistant" },
  { who: "from", said: "value", user: "human", model: "gpt" },
] as const;

/** Records with a list of turns. */
function conversations(record: Readonly<Record<string, unknown>>): Form | undefined {
  for (const [key, value] of Object.entries(record)) {
    const turn: unknown = Array.isArray(value) ? value[0] : undefined;
    if (!isObject(turn)) continue;
    const style = turnStyles.find(({ who, said }) => who in turn && said in turn);
    if (style === undefined) continue;
    const { who, said, user, model } = style;
    const of = (name: string) => `([${jqPath(key)}[] | select(.${who} == "${name}") | .${said}] | first)`;
    return {
      what: `it holds conversations (${quote(key)}, lists of ${who} and ${said})${asTheyAre(key)}`,
      fields: `{instruction: ${of(user)}, output: ${of(model)}}`,
      made: "make one of the first question and its answer of each",
    };
  }
  return undefined;
}

const asTheyAre = (key: string): string =>
  chatFields.includes(key) ? ", which --template chat trains as they are; for instructions" : "";

/** Records whose fields have other names. */
function otherFields(first: Readonly<Record<string, unknown>>, count: number, keys: readonly string[]): Form {
  const whose = count === 1 ? "its record has" : `its ${count} records have`;
  if (keys.length === 0) return { what: `${whose} no keys` };
  const what = `${whose} the ${keys.length === 1 ? "key" : "keys"} ${listed(keys)}`;
  const inner = keys.find((key) => isRecordLike(first[key]));
  const naming =
    inner === undefined
      ? possibleNaming(first, keys)
      : { instruction: `${inner}.instruction`, input: `${inner}.input`, output: `${inner}.output` };
  return { what, ...(naming && { flag: fieldsFlag(naming) }) };
}

/** The flag that names columns, to be typed behind a command. */
function fieldsFlag(naming: FieldMap): string {
  return `--fields ${Object.entries(naming)
    .map(([field, column]) => shellQuoted(`${field}=${column}`))
    .join(" ")}`;
}

/** An object that is the whole file: with lists of records in it, with columns, with records under their names. */
function wholeFile(path: string, file: Readonly<Record<string, unknown>>): Form | undefined {
  const entries = Object.entries(file);
  if (entries.length > 0 && entries.every(([, value]) => isRecordLike(value))) {
    return { what: `it is an object with ${entries.length} records under names`, command: jq(path, ".[]") };
  }
  return tableByColumns(path, file);
}

/** What pandas' to_json and to_dict write by default. */
function tableByColumns(path: string, file: Readonly<Record<string, unknown>>): Form | undefined {
  const { data, columns, instruction, output } = file;
  const pandas = (orient: string) => {
    const table = `pandas.read_json(sys.argv[1], orient='${orient}')`;
    return python(path, "pandas", `${table}.to_json(sys.argv[2], orient='records', lines=True)`);
  };
  if (Array.isArray(data) && Array.isArray(data[0]) && Array.isArray(columns)) {
    return { what: `it is a table of rows with the columns ${listed(columns.map(String))}`, command: pandas("split") };
  }
  const what = `it is a table by columns: ${listed(Object.keys(file))}`;
  if (isObject(instruction) && isObject(output)) return { what, command: pandas("columns") };
  if (!Array.isArray(instruction) || !Array.isArray(output)) return undefined;
  return { what, command: jq(path, "range(.instruction | length) as $i | map_values(.[$i])") };
}

const isRecordLike = (value: unknown): boolean => isObject(value) && "instruction" in value && "output" in value;
