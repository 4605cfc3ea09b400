/** Whether no value fits two schemas, as `oneOf` needs it. Only what can be seen from types and constants counts. */
import type { Shape } from "./shape.ts";

type Definitions = ReadonlyMap<string, Shape>;

/** Comparisons for one `oneOf`; one that needs more is taken for a set of schemas that a value may fit together. */
const MOST_COMPARED = 50_000;

/** Whether each value fits at most one of the schemas. */
export function areDisjoint(shapes: readonly Shape[], definitions: Definitions): boolean {
  const work = { left: MOST_COMPARED };
  return shapes.every((one, i) => shapes.slice(0, i).every((other) => isDisjoint(one, other, definitions, work)));
}

function isDisjoint(a: Shape, b: Shape, definitions: Definitions, work: { left: number }): boolean {
  if (--work.left < 0) return false;
  const isApart = (one: Shape, other: Shape) => isDisjoint(one, other, definitions, work);
  if (a.kind === "ref") return isApart(definitions.get(a.pointer) ?? { kind: "any" }, b);
  if (b.kind === "ref") return isApart(a, definitions.get(b.pointer) ?? { kind: "any" });
  if (a.kind === "union") return a.of.every((one) => isApart(one, b));
  if (b.kind === "union") return b.of.every((one) => isApart(a, one));
  const [typesOfA, typesOfB] = [typesOf(a), typesOf(b)];
  if (typesOfA.every((type) => !typesOfB.includes(type))) return true;
  if (a.kind === "literals" && b.kind === "literals") return a.texts.every((text) => !b.texts.includes(text));
  if (a.kind !== "object" || b.kind !== "object") return false;
  return a.properties.some(({ name, shape, isRequired }) => {
    const other = b.properties.find((property) => property.name === name);
    return isRequired && other?.isRequired === true && isApart(shape, other.shape);
  });
}

function typesOf(shape: Shape): readonly string[] {
  switch (shape.kind) {
    case "literals":
      return shape.texts.map((text) => typeOfText(text));
    case "string":
    case "array":
    case "object":
      return [shape.kind];
    case "number":
    case "integer":
      return ["number"];
    case "any":
    case "union":
    case "ref":
      return ["string", "array", "object", "number", "boolean", "null"];
  }
}

function typeOfText(text: string): string {
  const value: unknown = JSON.parse(text);
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
