/** Schemas that say of which type a value is, and how large. */
import { anyValue, isNode, type Node, type Reading, typesOf } from "./reading.ts";
import type { Shape } from "./shape.ts";

const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: ["minLength", "maxLength"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
};
const MOST_NAME = 1_000;
/** Numbers are written with at most fifteen digits, all of which a double keeps. */
const MOST_NUMBER = 10 ** 15 - 1;

/** Reads a schema by its types. `keys` are those that limit values. */
export function readTyped(reading: Reading, node: Node, keys: readonly string[], path: string, depth: number): Shape {
  const types = typesOf(node["type"]) ?? inferred(keys);
  const unknown = types.filter((type) => !Object.hasOwn(OF_TYPE, type));
  if (unknown.length > 0)
    return reading.refuse(`${path}/type`, `is ${JSON.stringify(node["type"])}, which JSON Schema lacks`);
  const known = ["type", ...types.flatMap((type) => OF_TYPE[type] ?? [])];
  const strange = keys.filter((key) => !known.includes(key));
  if (strange.length > 0)
    return reading.refuse(
      path,
      `has ${strange.join(", ")}, which cannot be followed here${types.length > 0 ? ` for ${types.join(", ")}` : ""}`,
    );
  if (types.length === 0) return anyValue;
  const of = types.map((type) => readType(reading, type, node, path, depth));
  return of.length === 1 ? (of[0] ?? anyValue) : { kind: "union", of };
}

function readType(reading: Reading, type: string, node: Node, path: string, depth: number): Shape {
  switch (type) {
    case "object":
      return readObject(reading, node, path, depth);
    case "array":
      return {
        kind: "array",
        items: "items" in node ? reading.read(node["items"], `${path}/items`, depth + 1) : anyValue,
        count: readBounds(reading, node, "Items", path),
      };
    case "string":
      return { kind: "string", length: readBounds(reading, node, "Length", path) };
    case "boolean":
      return { kind: "literals", texts: ["true", "false"] };
    case "null":
      return { kind: "literals", texts: ["null"] };
    default:
      return readNumber(reading, type === "integer" ? "integer" : "number", node, path);
  }
}

function readObject(reading: Reading, node: Node, path: string, depth: number): Shape {
  const { properties: listed = {}, required = [], additionalProperties: more = !("properties" in node) } = node;
  if (!isNode(listed)) return reading.refuse(`${path}/properties`, "is no object of schemas");
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string"))
    return reading.refuse(`${path}/required`, "is no list of names");
  const absent = required.filter((name: string) => !Object.hasOwn(listed, name));
  if (absent.length > 0)
    return reading.refuse(`${path}/required`, `names ${absent.join(", ")}, which properties lacks`);
  const long = Object.keys(listed).find((name) => name.length > MOST_NAME);
  if (long !== undefined)
    return reading.refuse(
      `${path}/properties`,
      `has a name of ${long.length} characters, at most ${MOST_NAME} are allowed`,
    );
  const properties = Object.entries(listed).map(([name, one]) => ({
    name,
    shape: reading.read(one, `${path}/properties/${name}`, depth + 1),
    isRequired: required.includes(name),
  }));
  const others = more === false ? undefined : reading.read(more, `${path}/additionalProperties`, depth + 1);
  return { kind: "object", properties, others };
}

function readBounds(
  reading: Reading,
  node: Node,
  name: "Items" | "Length",
  path: string,
): { readonly least: number; readonly most: number | undefined } {
  const [least, most] = [node[`min${name}`] ?? 0, node[`max${name}`]];
  if (!isCount(least) || !(most === undefined || isCount(most))) {
    reading.refuse(path, `has a min${name} or max${name} that is no whole number from 0 on`);
    return { least: 0, most: undefined };
  }
  if (most !== undefined && most < least)
    reading.refuse(path, `has a min${name} of ${least} and a max${name} of ${most}, which no value fits`);
  return { least, most };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function readNumber(reading: Reading, kind: "number" | "integer", node: Node, path: string): Shape {
  const names = OF_TYPE["number"] ?? [];
  if (names.every((name) => node[name] === undefined)) return { kind, range: undefined };
  const wrong = names.filter((name) => node[name] !== undefined && !Number.isFinite(node[name]));
  if (wrong.length > 0) return reading.refuse(path, `has a ${wrong.join(", ")} that is no number`);
  const [min, max, above, below] = names.map((name) => node[name] as number | undefined);
  const first = Math.max(-MOST_NUMBER, Math.ceil(min ?? -MOST_NUMBER), Math.floor(above ?? -MOST_NUMBER - 1) + 1);
  const last = Math.min(MOST_NUMBER, Math.floor(max ?? MOST_NUMBER), Math.ceil(below ?? MOST_NUMBER + 1) - 1);
  return first <= last
    ? { kind, range: [first, last] }
    : reading.refuse(path, "has no whole number within its bounds: use wider ones");
}

/** The type that keywords are about; a schema may leave it out. */
function inferred(keys: readonly string[]): string[] {
  const found = ["object", "array", "string", "number"].filter((type) =>
    OF_TYPE[type]?.some((key) => keys.includes(key)),
  );
  return found;
}
