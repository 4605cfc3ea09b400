/** A grammar while it is built: rules that hold each other, each made once. */
import { type Budget, newGraph, type Rule } from "./graph.ts";
import { addEmpty, addSpaces, node, type Place } from "./paths.ts";
import type { Shape } from "./shape.ts";
import { addRule, type State } from "./states.ts";

/** How many values may still be inside each other. */
export interface Depth {
  /** If the schema says nothing of them. */
  readonly any: number;
  /** If a definition holds itself. */
  readonly self: number;
}

/** Where a part of a schema is added: from one node of a graph to another. */
export interface Span {
  readonly place: Place;
  readonly from: number;
  readonly to: number;
}

export interface Building {
  readonly states: State[];
  /** Returns the rule of a key, which `add` makes at first; undefined if there is no text for it. */
  rule(key: string, add: (span: Span) => void): Rule | undefined;
  /** Adds the values of a shape. */
  add(span: Span, shape: Shape, depth: Depth): void;
  /** Numbers shapes, for keys. */
  numberOf(shape: Shape): number;
}

/** Begins a grammar whose shapes `add` adds. */
export function openBuilding(
  budget: Budget,
  add: (building: Building, span: Span, shape: Shape, depth: Depth) => void,
): Building {
  const states: State[] = [];
  const rules = new Map<string, Rule | undefined>();
  const shapes = new Map<Shape, number>();
  const building: Building = {
    states,
    rule(key, addTexts) {
      if (!rules.has(key)) {
        const place = { graph: newGraph(), budget };
        const [from, to] = [node(place), node(place)];
        addTexts({ place, from, to });
        rules.set(key, addRule(states, place.graph, from, to, budget));
      }
      return rules.get(key);
    },
    add: (span, shape, depth) => add(building, span, shape, depth),
    numberOf(shape) {
      const known = shapes.get(shape) ?? shapes.size;
      shapes.set(shape, known);
      return known;
    },
  };
  return building;
}

/** Adds the texts of a rule. */
export function addCall({ place, from, to }: Span, rule: Rule | undefined): void {
  if (rule) place.graph.calls[from]?.push({ rule, to });
}

/** Adds what may stand between the signs of JSON: nothing, or white space. */
export function addGap(building: Building, span: Span): void {
  addEmpty(span.place, span.from, span.to);
  addCall(
    span,
    building.rule("spaces", ({ place, from, to }) => addSpaces(place, from, to)),
  );
}
