/** What a JSON Schema says that is followed here; every other keyword is refused by name. */
import { InputError } from "../errors.ts";
import { areDisjoint } from "./disjoint.ts";
import { anyValue, isNode, type Node, type Reading, typesOf } from "./reading.ts";
import type { Shape } from "./shape.ts";
import { readTyped } from "./typed.ts";

/** A schema that was read. */
export interface ReadSchema {
  readonly shape: Shape;
  /** By the pointers of refs. */
  readonly definitions: ReadonlyMap<string, Shape>;
}

/** A whole schema while it is read. */
interface WholeReading extends Reading {
  readonly schema: unknown;
  readonly definitions: Map<string, Shape>;
  /** Compared once all definitions are read. */
  readonly oneOfs: { readonly path: string; readonly of: readonly Shape[] }[];
}

/** Says what a schema means without limiting values. */
const NOTES = new Set(
  "title description default examples $schema $id $comment deprecated readOnly writeOnly $defs definitions".split(" "),
);
const MOST_DEPTH = 64;
const MOST_DEFINITIONS = 500;
const MOST_SHAPES = 10_000;
const MOST_PROBLEMS = 20;

/** @throws InputError with every keyword that is not followed here, and where it stands. */
export function readSchema(schema: unknown): ReadSchema {
  const problems: string[] = [];
  let count = 0;
  const reading: WholeReading = {
    schema,
    definitions: new Map(),
    oneOfs: [],
    refuse(path, problem) {
      if (problems.length < MOST_PROBLEMS) problems.push(`${path.slice(0, 200)} ${problem.slice(0, 300)}`);
      return anyValue;
    },
    read(node, path, depth) {
      const isDeep = depth > MOST_DEPTH;
      if (!isDeep && ++count <= MOST_SHAPES) return read(reading, node, path, depth);
      const limit = isDeep ? `is nested more than ${MOST_DEPTH} deep` : `is one of over ${MOST_SHAPES} parts`;
      return problems.length > 0 ? anyValue : reading.refuse(path, `${limit}: use a smaller schema`);
    },
  };
  const { definitions, oneOfs } = reading;
  const shape = reading.read(schema, "#", 0);
  // Those that are read add others behind themselves.
  for (const pointer of definitions.keys()) {
    definitions.set(pointer, reading.read(follow(schema, pointer), pointer, 0));
  }
  for (const { path, of } of oneOfs) {
    if (!areDisjoint(of, definitions))
      reading.refuse(
        path,
        "has schemas that one value may fit: use anyOf, or tell them apart by type or a required property with const",
      );
  }
  if (problems.length > 0) throw new InputError("Cannot follow the JSON Schema", problems);
  return { shape, definitions };
}

function read(reading: WholeReading, node: unknown, path: string, depth: number): Shape {
  if (node === true) return anyValue;
  if (node === false) return reading.refuse(path, "is false, which no value fits: leave it out");
  if (!isNode(node)) return reading.refuse(path, `is ${JSON.stringify(node)}, a schema is an object`);
  const keys = Object.keys(node).filter((key) => !NOTES.has(key));
  if ("$ref" in node) return readRef(reading, node, keys, path);
  for (const key of ["anyOf", "oneOf", "allOf"] as const)
    if (key in node) return readUnion(reading, key, node, keys, path, depth);
  if ("enum" in node || "const" in node) return readLiterals(reading, node, keys, path);
  return readTyped(reading, node, keys, path, depth);
}

function readRef(reading: WholeReading, { $ref: pointer }: Node, keys: readonly string[], path: string): Shape {
  if (keys.length > 1) return reading.refuse(path, `has ${keys.join(", ")} beside each other: $ref must stand alone`);
  if (typeof pointer !== "string" || !/^#(?:\/|$)/.test(pointer))
    return reading.refuse(
      path,
      `refers to ${JSON.stringify(pointer)}: only places in the schema itself (#/$defs/…) are followed`,
    );
  if (!reading.definitions.has(pointer)) {
    if (reading.definitions.size >= MOST_DEFINITIONS)
      return reading.refuse(path, `refers to one of over ${MOST_DEFINITIONS} definitions`);
    if (follow(reading.schema, pointer) === undefined)
      return reading.refuse(path, `refers to ${pointer}, which is not there`);
    reading.definitions.set(pointer, anyValue); // read later: a schema may refer to itself
  }
  return { kind: "ref", pointer };
}

function readUnion(
  reading: WholeReading,
  key: "anyOf" | "oneOf" | "allOf",
  node: Node,
  keys: readonly string[],
  path: string,
  depth: number,
): Shape {
  const list = node[key];
  if (keys.length > 1) return reading.refuse(path, `has ${keys.join(", ")} beside each other: ${key} must stand alone`);
  if (!Array.isArray(list) || list.length === 0) return reading.refuse(`${path}/${key}`, "is no list of schemas");
  if (key === "allOf" && list.length > 1)
    return reading.refuse(`${path}/allOf`, "has several schemas: write them as one");
  const of = list.map((one, i) => reading.read(one, `${path}/${key}/${i}`, depth + 1));
  if (key === "oneOf") reading.oneOfs.push({ path: `${path}/oneOf`, of });
  return of.length === 1 ? (of[0] ?? anyValue) : { kind: "union", of };
}

function readLiterals(reading: WholeReading, node: Node, keys: readonly string[], path: string): Shape {
  const beside = keys.filter((key) => key !== "enum" && key !== "const" && key !== "type");
  if (beside.length > 0)
    return reading.refuse(path, `has ${beside.join(", ")} beside enum or const, which says it all`);
  const listed = "const" in node ? [node["const"]] : node["enum"];
  if (!Array.isArray(listed) || listed.length === 0) return reading.refuse(`${path}/enum`, "is no list of values");
  const types = typesOf(node["type"]);
  const fits = (value: unknown) => types === undefined || types.some((type) => isOfType(value, type));
  const inBoth = listed.filter(
    (value) => fits(value) && (!("const" in node && "enum" in node) || hasValue(node["enum"], value)),
  );
  const texts = [...new Set(inBoth.map((value) => JSON.stringify(value)))];
  return texts.length > 0
    ? { kind: "literals", texts }
    : reading.refuse(path, "allows no value: enum, const and type contradict each other");
}

function isOfType(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isNode(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function hasValue(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((one) => JSON.stringify(one) === JSON.stringify(value));
}

/** The part of a schema that a pointer names (RFC 6901). */
function follow(schema: unknown, pointer: string): unknown {
  let node = schema;
  for (const part of pointer.split("/").slice(1)) {
    const key = decoded(part)?.replaceAll("~1", "/").replaceAll("~0", "~");
    if (key === undefined || typeof node !== "object" || node === null || !Object.hasOwn(node, key)) return undefined;
    node = (node as Node)[key];
  }
  return node;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
