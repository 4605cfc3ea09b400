/** From shapes of JSON values to the states of a grammar. */
import { InputError } from "../errors.ts";
import { addCall, addGap, type Building, type Depth, openBuilding, type Span } from "./building.ts";
import { addArray, addObject } from "./containers.ts";
import { newBudget, type Rule } from "./graph.ts";
import { addNumber, addRange } from "./numbers.ts";
import { addCharacter, addText, node } from "./paths.ts";
import type { ReadSchema } from "./read_schema.ts";
import type { Shape } from "./shape.ts";
import type { State } from "./states.ts";

/** Values inside each other if a schema says nothing of them, and a definition inside itself. */
const MOST_DEPTH: Depth = { any: 16, self: 8 };

/** The texts of a schema. */
export interface Texts {
  readonly states: readonly State[];
  readonly start: number;
}

/** @throws InputError if the schema is too large, or allows no text. */
export function textsOf(schema: ReadSchema): Texts {
  const selves = new Set(
    [...schema.definitions.keys()].filter((pointer) => refersToItself(pointer, schema.definitions)),
  );
  const refs: Refs = { ...schema, selves };
  const building = openBuilding(newBudget(), (own, span, shape, depth) => addShape(own, refs, span, shape, depth));
  const top = building.rule("", ({ place, from, to }) => {
    const begin = node(place);
    addGap(building, { place, from, to: begin });
    building.add({ place, from: begin, to }, schema.shape, MOST_DEPTH);
  });
  if (top) return { states: building.states, start: top.start };
  const problem = `it allows no value, or none that holds itself fewer than ${MOST_DEPTH.self} times`;
  throw new InputError("Cannot follow the JSON Schema", problem);
}

/** Definitions, and which of them hold themselves. */
interface Refs extends ReadSchema {
  readonly selves: ReadonlySet<string>;
}

function addShape(building: Building, refs: Refs, span: Span, shape: Shape, depth: Depth): void {
  const { place, from, to } = span;
  switch (shape.kind) {
    case "any":
      return addCall(span, anyValue(building, depth));
    case "literals":
      for (const text of shape.texts) addText(place, from, text, to);
      return undefined;
    case "string":
      return addString(building, span, shape.length);
    case "number":
    case "integer":
      return shape.range
        ? addRange(place, from, shape.range, shape.kind === "integer", to)
        : addNumber(place, from, shape.kind === "integer", to);
    case "array":
      return addArray(building, span, shape, depth);
    case "object":
      return addObject(building, span, shape, depth);
    case "union":
      for (const alternative of shape.of) addAlternative(building, refs, span, alternative, depth);
      return undefined;
    case "ref":
      return addCall(span, referred(building, refs, shape.pointer, depth));
  }
}

/** Adds alternatives side by side, also those that are defined elsewhere, so that they may begin alike. */
function addAlternative(building: Building, refs: Refs, span: Span, shape: Shape, depth: Depth): void {
  if (shape.kind !== "ref") return addShape(building, refs, span, shape, depth);
  const next = deeper(refs, shape.pointer, depth);
  const target = refs.definitions.get(shape.pointer);
  if (next && target) addAlternative(building, refs, span, target, next);
}

/** How deep the inside of a definition may go; undefined if it may not be entered again. */
function deeper({ selves }: Refs, pointer: string, depth: Depth): Depth | undefined {
  if (!selves.has(pointer)) return depth;
  return depth.self > 0 ? { ...depth, self: depth.self - 1 } : undefined;
}

function referred(building: Building, refs: Refs, pointer: string, depth: Depth): Rule | undefined {
  const next = deeper(refs, pointer, depth);
  const target = refs.definitions.get(pointer);
  if (!next || !target) return undefined;
  return building.rule(`${pointer} ${next.self} ${next.any}`, (span) => building.add(span, target, next));
}

const EVERY_LENGTH = { least: 0, most: undefined };

function anyValue(building: Building, depth: Depth): Rule | undefined {
  const next = { ...depth, any: depth.any - 1 };
  const any: Shape = { kind: "any" };
  return building.rule(`any ${depth.any}`, (span) => {
    const { place, from, to } = span;
    for (const text of ["true", "false", "null"]) addText(place, from, text, to);
    addNumber(place, from, false, to);
    addString(building, span, EVERY_LENGTH);
    if (next.any < 0) return;
    addArray(building, span, { kind: "array", items: any, count: EVERY_LENGTH }, next);
    addObject(building, span, { kind: "object", properties: [], others: any }, next);
  });
}

function addString(
  building: Building,
  { place, from, to }: Span,
  { least, most }: { readonly least: number; readonly most: number | undefined },
): void {
  let at = node(place);
  addText(place, from, '"', at);
  const counted = most ?? least;
  const addOne = (span: Span) => addCharacter(span.place, span.from, span.to);
  const character = counted > 0 ? building.rule("character", addOne) : undefined;
  for (let length = 0; length < counted; length++) {
    if (length >= least) addText(place, at, '"', to);
    const next = node(place);
    addCall({ place, from: at, to: next }, character);
    at = next;
  }
  if (most === undefined) addCharacter(place, at, at);
  addText(place, at, '"', to);
}

/** Whether a definition holds itself, directly or through others. */
function refersToItself(pointer: string, definitions: ReadSchema["definitions"]): boolean {
  const seen = new Set<string>();
  const open = [pointer];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const target = definitions.get(next);
    for (const found of target ? refsIn(target) : []) {
      if (found === pointer) return true;
      if (!seen.has(found)) open.push(found);
      seen.add(found);
    }
  }
  return false;
}

function refsIn(shape: Shape): string[] {
  if (shape.kind === "ref") return [shape.pointer];
  if (shape.kind === "union") return shape.of.flatMap(refsIn);
  if (shape.kind === "array") return refsIn(shape.items);
  if (shape.kind !== "object") return [];
  const { properties, others } = shape;
  return [...properties.map((property) => property.shape), ...(others ? [others] : [])].flatMap(refsIn);
}
