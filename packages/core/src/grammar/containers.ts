/** Arrays and objects. */
import { addCall, addGap, type Building, type Depth, type Span } from "./building.ts";
import { addByte, addEmpty, addText, node, PLAIN, type Place } from "./paths.ts";
import type { Shape } from "./shape.ts";

type ArrayShape = Extract<Shape, { readonly kind: "array" }>;
type ObjectShape = Extract<Shape, { readonly kind: "object" }>;

/** Adds arrays. */
export function addArray(
  building: Building,
  { place, from, to }: Span,
  { items, count }: ArrayShape,
  depth: Depth,
): void {
  const { least, most } = count;
  const [opened, first] = [node(place), node(place)];
  addText(place, from, "[", opened);
  addGap(building, { place, from: opened, to: first });
  if (least === 0) addText(place, first, "]", to);
  const counted = most ?? least;
  if (counted <= 1 && most === undefined) return addItems(building, { place, from: first, to }, items, depth);
  const key = `item ${depth.self} ${depth.any} ${building.numberOf(items)}`;
  const item = building.rule(key, (span) => building.add(span, items, depth));
  let at = first;
  for (let length = 1; length <= counted; length++) {
    const [behind, closing, next] = [node(place), node(place), node(place)];
    addCall({ place, from: at, to: behind }, item);
    addGap(building, { place, from: behind, to: closing });
    if (length >= least) addText(place, closing, "]", to);
    addComma(building, { place, from: closing, to: next });
    at = next;
  }
  if (most === undefined) addItems(building, { place, from: at, to }, items, depth);
}

/** Adds one item or more, and the end. */
function addItems(building: Building, { place, from, to }: Span, items: Shape, depth: Depth): void {
  const [item, behind, closing] = [node(place), node(place), node(place)];
  addEmpty(place, from, item);
  building.add({ place, from: item, to: behind }, items, depth);
  addGap(building, { place, from: behind, to: closing });
  addText(place, closing, "]", to);
  addComma(building, { place, from: closing, to: item });
}

function addComma(building: Building, { place, from, to }: Span): void {
  const comma = node(place);
  addText(place, from, ",", comma);
  addGap(building, { place, from: comma, to });
}

/** Adds objects: properties come in the order of the schema, then those that it does not name. */
export function addObject(building: Building, { place, from, to }: Span, shape: ObjectShape, depth: Depth): void {
  const { properties, others } = shape;
  const opened = node(place);
  addText(place, from, "{", opened);
  // Where the key of this property or a later one may begin, and where the value of the one before it has ended.
  const places = [...properties, undefined].map(() => ({ key: node(place), behind: node(place) }));
  const isOpen = (i: number) => properties.slice(i).every(({ isRequired }) => !isRequired);
  const first = node(place);
  addGap(building, { place, from: opened, to: first });
  if (isOpen(0)) addText(place, first, "}", to);
  for (const [i, { key, behind }] of places.entries()) {
    if (i === 0) addEmpty(place, first, key);
    if (i > 0 || properties.length === 0) {
      addComma(building, { place, from: behind, to: key });
      if (isOpen(i)) addText(place, behind, "}", to);
    }
    const property = properties[i];
    const next = places[i + 1];
    if (property && next) {
      const named = node(place);
      addText(place, key, JSON.stringify(property.name), named);
      addValue(building, { place, from: named, to: next.behind }, property.shape, depth);
      if (!property.isRequired) addEmpty(place, key, next.key);
    } else if (others) {
      const named = node(place);
      const names = properties.map(({ name }) => name);
      addOtherKey(place, key, names, named);
      addValue(building, { place, from: named, to: behind }, others, depth);
    }
  }
}

/** Adds a colon and a value. */
function addValue(building: Building, { place, from, to }: Span, shape: Shape, depth: Depth): void {
  const [colon, gap, value, closing] = [node(place), node(place), node(place), node(place)];
  addGap(building, { place, from, to: colon });
  addText(place, colon, ":", gap);
  addGap(building, { place, from: gap, to: value });
  building.add({ place, from: value, to: closing }, shape, depth);
  addGap(building, { place, from: closing, to });
}

/** Adds keys of one or more printable ASCII characters that are none of these names. */
function addOtherKey(place: Place, from: number, names: readonly string[], to: number): void {
  const free = node(place);
  addText(place, free, '"', to);
  for (const [low, high] of PLAIN) addByte(place, free, low, high, free);
  const addRest = (at: number, rests: readonly string[], isFirst: boolean) => {
    if (!isFirst && !rests.includes("")) addText(place, at, '"', to);
    const letters = [...new Set(rests.map((rest) => rest.charCodeAt(0)))];
    for (const [low, high] of PLAIN) {
      const own = letters.filter((letter) => letter >= low && letter <= high).toSorted((a, b) => a - b);
      for (const [i, begin] of [low, ...own.map((letter) => letter + 1)].entries()) {
        const end = (own[i] ?? high + 1) - 1;
        if (begin <= end) addByte(place, at, begin, end, free);
      }
      for (const letter of own) {
        const next = node(place);
        addByte(place, at, letter, letter, next);
        const behind = rests.flatMap((rest) => (rest.charCodeAt(0) === letter ? [rest.slice(1)] : []));
        addRest(next, behind, false);
      }
    }
  };
  const opened = node(place);
  addText(place, from, '"', opened);
  addRest(opened, names, true);
}
